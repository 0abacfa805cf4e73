"""What the browser says it wants to see, as a filter. It may say anything; nothing in it says who asks."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from demo.feedback_room import Scope
from nightschool.browsing import FeedbackFilter, FeedbackKind
from nightschool.errors import BadInput

LONGEST_SEARCH = 200
A_DAY = 24 * 60


@dataclass(frozen=True)
class Wanted:
    scope: Scope
    filter: FeedbackFilter
    minutes: int
    """How far the visitor's clock is ahead of UTC."""
    asked: int = 0
    """The browser's own number of what it asked last: sent back, so that it knows a late answer."""

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out of the scope."""
        return self.filter != FeedbackFilter()

    def told(self) -> dict[str, Any]:
        """As the browser says it."""
        return {
            "scope": self.scope,
            "kind": self.filter.kind or "",
            "version": self.filter.version or "",
            "person": self.filter.person_id or "",
            "since": self.filter.since,
            "until": self.filter.until,
            "search": self.filter.search,
            "minutes": self.minutes,
            "asked": self.asked,
        }


def wanted_of(said: Any) -> Wanted:
    """What a browser says, as a value or as JSON. Raises `BadInput` for what no page of ours says."""
    try:
        said = (json.loads(said) if isinstance(said, str) else said) or {}
        minutes = said.get("minutes", 0)
        if not isinstance(minutes, int) or abs(minutes) > A_DAY:
            raise ValueError("no clock is so far from UTC")
        asked = said.get("asked", 0)
        if not isinstance(asked, int):
            raise ValueError("not a number")
        texts = {name: said.get(name) or "" for name in ("kind", "version", "person", "since", "until", "search")}
        if not all(isinstance(value, str) for value in texts.values()):
            raise ValueError("not a text")
        kind = FeedbackKind(texts["kind"]) if texts["kind"] else None
        since, until = _moment(texts["since"]), _moment(texts["until"])
        search = texts["search"].strip()[:LONGEST_SEARCH]
        search.encode()  # half a character is nothing to search for
        scope = Scope(said.get("scope") or Scope.MINE)
    except (ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInput("These conditions cannot be read; reload the page and set them again.") from error
    found = FeedbackFilter(texts["person"] or None, kind, texts["version"] or None, since, until, search)
    return Wanted(scope, found, minutes, asked)


def _moment(text: str) -> str:
    """A moment as the store writes them; empty stays empty."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds") if text else ""
