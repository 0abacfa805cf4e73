"""In which script a text is written: a small model that unlearned to answer in the question's language shows there."""

import unicodedata
from collections import Counter

LATIN = "LATIN"
LEAST_SHARE = 0.2
"""Of all letters: that many of another script make it the text's script, though code and names are Latin everywhere."""
CJK_WEIGHT = 2
"""Letters for which one character stands: it says at least as much."""
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "BOPOMOFO": "CJK", "FULLWIDTH": LATIN}


def script_of(text: str) -> str | None:
    """`LATIN`, `CJK`, `CYRILLIC` and so on, as Unicode names its letters; None for a text without letters."""
    letters = Counter(_script(character) for character in text if character.isalpha())
    letters["CJK"] *= CJK_WEIGHT
    letters = +letters  # without scripts that do not occur
    if not letters:
        return None
    others = {script: count for script, count in letters.items() if script != LATIN}
    if others:
        script, count = max(others.items(), key=lambda entry: entry[1])
        if count >= LEAST_SHARE * letters.total():
            return script
    return LATIN


def answers_in_script(question: str, answer: str) -> bool:
    """Whether the answer is in the question's script; without letters on either side there is nothing to blame."""
    asked, given = script_of(question), script_of(answer)
    return asked is None or given is None or asked == given


def _script(character: str) -> str:
    name = unicodedata.name(character, LATIN).split(" ")[0]
    return _ONE_SCRIPT.get(name, name)
