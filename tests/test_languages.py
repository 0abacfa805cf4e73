"""Which language a visitor reads."""

import pytest

from demo.languages import COOKIE, accepted_language, language_of_path, wanted_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("en-US,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-TW", "zh"),
        ("ZH", "zh"),
        ("en;q=0.5,zh;q=0.6", "zh"),
        ("de-DE,de;q=0.9,zh;q=0.3", "zh"),
        ("de,fr", "en"),
        ("zh;q=0,de", "en"),
        ("zh;q=much", "en"),
        ("*", "en"),
        (",,;q=1,", "en"),
    ],
)
def test_the_browsers_order_of_preference_decides(header: str, language: str) -> None:
    assert accepted_language(header) == language


def test_what_the_visitor_chose_goes_before_the_browser() -> None:
    assert wanted_language({COOKIE: "en"}, "zh-CN") == "en"
    assert wanted_language({COOKIE: "zh"}, "en") == "zh"
    assert wanted_language({COOKIE: "tlh"}, "zh-CN") == "zh"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", ("en", "/")),
        ("/school", ("en", "/school")),
        ("/zh", ("zh", "/")),
        ("/zh/", ("zh", "/")),
        ("/zh/school", ("zh", "/school")),
        ("/zhang", ("en", "/zhang")),
    ],
)
def test_a_path_tells_its_language(path: str, found: tuple[str, str]) -> None:
    assert language_of_path(path) == found
