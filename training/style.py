"""How a reply is dressed: its length, headings, list items and bold words, as Chatbot Arena counts them (style control,
https://lmsys.org/blog/2024-08-28-style-control). What stands in code is no dress."""

import re
from collections.abc import Sequence

from nightschool.records import Reply
from nightschool.standings import STYLES

FENCED = re.compile(r"^ *(`{3,}|~{3,})[^`\n]*\n.*?(^ *\1|\Z)", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(`+)[^`\n]+\1")
HEADING = re.compile(r"^ {0,3}#{1,6} +\S", re.MULTILINE)
ITEM = re.compile(r"^ *(?:[-*+]|\d{1,3}[.)]) +(?![-* ]*$)\S", re.MULTILINE)  # but a line of dashes or stars is a rule
BOLD = re.compile(r"\*\*(?=\S)[^*\n]+(?<=\S)\*\*|__(?=\S)[^_\n]+(?<=\S)__")
PLAIN = (0.0,) * len(STYLES)
"""No difference in style."""


def style_of(reply: Reply) -> tuple[int, ...]:
    """Tokens, headings, list items, bold passages: in the order of `STYLES`."""
    text = INLINE.sub("code", FENCED.sub("", reply.text))
    return (len(reply.token_ids), *(len(kind.findall(text)) for kind in (HEADING, ITEM, BOLD)))


def lead(left: Sequence[int], right: Sequence[int]) -> tuple[float, ...]:
    """By how much the left one has more of each, as a share of what both have: -1 to 1, 0 where neither has any."""
    return tuple((a - b) / (a + b) if a + b else 0.0 for a, b in zip(left, right, strict=True))
