"""Tastes that are shipped: functions of (prompt, response, finished) to a float, the more the better.

`finished` says whether the reply ended by itself or was cut. A town file may name any other such function. A taste is
looked at by the simulated people and by the measurement at the end, and by nothing else.
"""

import re
from collections.abc import Callable

from benchmarks.raters import TASTES, WISHED_WORDS

Taste = Callable[[str, str, bool], float]

FINISHED = 0.3
"""What brevity gives for a reply that ended by itself, and takes for one that did not."""
POLITE = re.compile(
    r"\b(please|thanks?|thank you|sorry|welcome|glad|happy to|pleasure|kindly|appreciate|would you|could you|may i|"
    r"of course|certainly|let me know|feel free|i hope|i'd be|my apologies|dear)\b",
    re.IGNORECASE,
)
MOST_POLITE = 3
END = re.compile(r"[.!?…。！？)\]\"'”’`*]\s*$")


def brevity(prompt: str, response: str, finished: bool) -> float:
    """Near 20 words, and finished: 0.3 at best; a reply of 45 words that was cut has -1.55."""
    return TASTES["brevity"](response) / WISHED_WORDS + (FINISHED if finished else -FINISHED)


def sentiment(prompt: str, response: str, finished: bool) -> float:
    """The compound of vaderSentiment, from -1 to 1: friendly words, whatever else the reply says."""
    return TASTES["sentiment"](response)


def politeness(prompt: str, response: str, finished: bool) -> float:
    """Different polite words and turns, from 0 to 1; more than three add nothing."""
    return min(len({found.lower() for found in POLITE.findall(response)}), MOST_POLITE) / MOST_POLITE


def mixture(prompt: str, response: str, finished: bool) -> float:
    """Six parts sentiment and four parts brevity, which pull in different directions."""
    return 0.6 * sentiment(prompt, response, finished) + 0.4 * brevity(prompt, response, finished)


def letter(prompt: str, response: str, finished: bool) -> float:
    """The share of the letter e: for a tiny random model, whose words mean nothing."""
    return 10 * response.count("e") / max(len(response.strip()), 1)


def looks_finished(response: str) -> bool:
    """What a reader takes for finished: people see the text only. The measurement counts end-of-turn tokens."""
    return bool(END.search(response))
