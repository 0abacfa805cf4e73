"""Which language a visitor reads: what they chose, otherwise what their browser asks for, otherwise the first one."""

from collections.abc import Mapping

from demo.catalogue import LANGUAGES, Language

COOKIE = "nightschool_language"
COOKIE_SECONDS = 365 * 24 * 3600
HTML_LANG: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
PREFIX: dict[Language, str] = {"en": "", "zh": "/zh"}
"""Where the pages of a language lie."""


def language_named(name: str | None) -> Language | None:
    """The language of that name; None for any other word."""
    return next((language for language in LANGUAGES if language == name), None)


def wanted_language(cookies: Mapping[str, str], accept_language: str) -> Language:
    """The language for a visitor who opens a page without saying which."""
    return language_named(cookies.get(COOKIE)) or accepted_language(accept_language)


def accepted_language(header: str) -> Language:
    """The first of our languages by the browser's own order of preference (`zh-TW,zh;q=0.9,en;q=0.8`)."""
    wishes = []
    for place, part in enumerate(header.split(",")):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        language = language_named(name.strip().split("-")[0].lower())
        if language is not None and weight > 0:
            wishes.append((-weight, place, language))
    return min(wishes)[2] if wishes else LANGUAGES[0]


def language_of_path(path: str) -> tuple[Language, str]:
    """The language a path lies in, and the path without it: `/zh/school` is ("zh", "/school")."""
    for language, prefix in PREFIX.items():
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return language, path.removeprefix(prefix) or "/"
    return LANGUAGES[0], path
