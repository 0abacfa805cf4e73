"""Sentences that the store, the chat and the night say in English, in the language of a page.

Such a sentence is its own message id: `demo/words/errors*.toml` holds it as a template with its translation,

    [unknown_version]
    en = "There is no version {version}; the versions here are: {names}."
    zh = "没有版本 {version}；现有版本：{names}。"

What stands for a {name} may be such a sentence itself. A sentence without a template is shown as it is.
"""

import re
import string
from functools import cache, lru_cache

from demo.catalogue import LANGUAGES, Language, Words, catalogue

SEPARATOR = "; "
"""Between several complaints in one sentence."""


def translated(sentence: str, words: Words) -> str:
    """The sentence in the language of the words."""
    return sentence if words.language == LANGUAGES[0] else _translated(sentence, words.language)


def is_known(sentence: str) -> bool:
    """Whether some template speaks for an English sentence."""
    return any(pattern.fullmatch(sentence) for pattern, _ in _templates())


@lru_cache(maxsize=4096)
def _translated(sentence: str, language: Language) -> str:
    for pattern, texts in _templates():
        if found := pattern.fullmatch(sentence):
            values = {name: _part(value, language) for name, value in found.groupdict().items()}
            return texts[language].format(**values)
    return sentence


def _part(value: str, language: Language) -> str:
    """What stands in a sentence: one of ours itself, several of them, or a name that stays."""
    if SEPARATOR in value and not is_known(value):
        return "；".join(_translated(part, language) for part in value.split(SEPARATOR))
    return _translated(value, language)


@cache
def _templates() -> list[tuple[re.Pattern[str], dict[Language, str]]]:
    """Patterns of the English sentences, those with the most fixed letters first."""
    found = [texts for key, texts in catalogue().items() if key.startswith("errors")]
    found.sort(key=lambda texts: -sum(len(text) for text, *_ in string.Formatter().parse(texts["en"])))
    return [(_pattern(texts["en"]), texts) for texts in found]


def _pattern(template: str) -> re.Pattern[str]:
    pattern, seen = "", set[str]()
    for text, name, _, _ in string.Formatter().parse(template):
        pattern += re.escape(text)
        if name:
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
            seen.add(name)
    return re.compile(pattern, re.DOTALL)
