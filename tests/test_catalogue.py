"""Words on screen: complete in every language, and filled in by name."""

import pytest

from demo.catalogue import LANGUAGES, Words, catalogue, names_in


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_a_word_is_there_in_every_language_and_takes_the_same_values(key: str) -> None:
    texts = catalogue()[key]
    assert set(texts) == set(LANGUAGES)
    assert all(text.strip() for text in texts.values())
    assert len({frozenset(names_in(text)) for text in texts.values()}) == 1


def test_the_languages_differ() -> None:
    assert Words("en")("common.please_reload") == "Please reload"
    assert Words("zh")("common.please_reload") == "请重新载入"


def test_a_missing_word_raises() -> None:
    with pytest.raises(KeyError):
        Words("en")("common.nothing_of_that_name")
