"""Every word on screen, in every language: one file per page in `demo/words/`, one table per word.

    [send]              # `words("chat.send")` for demo/words/chat.toml
    en = "Send"
    zh = "发送"

A sentence with `{name}` in it takes the value by that name. Pages are built once per language, so a handler knows its
language without asking.
"""

import string
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
"""The first one stands in for a browser that wants none of them."""


@dataclass(frozen=True)
class Words:
    """The words of one language."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The sentence of `key` ("page.name") with its `{names}` filled in; `KeyError` where it is missing."""
        text = catalogue()[key][self.language]
        if wanted := names_in(text) - set(values):
            raise KeyError(f"The sentence {key} needs {', '.join(sorted(wanted))}; give it by name.")
        return text.format(**values) if names_in(text) else text

    def template(self, key: str) -> str:
        """The sentence of `key` with its `{names}` left open, for a browser that fills them in."""
        return catalogue()[key][self.language]

    def knows(self, key: str) -> bool:
        """Whether there is a sentence of that key."""
        return key in catalogue()


@cache
def catalogue() -> dict[str, dict[Language, str]]:
    """Key -> language -> text, of all files."""
    found: dict[str, dict[Language, str]] = {}
    for file in sorted(resources.files("demo").joinpath("words").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            page = file.name.removesuffix(".toml")
            for name, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
                found[f"{page}.{name}"] = texts
    return found


def names_in(text: str) -> set[str]:
    """The `{names}` a sentence takes."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
