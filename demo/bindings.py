"""Whose a Gradio session or a running event is: the visitor's who used it first.

Gradio takes its session ids from the browser and asks nobody whose they are: whoever knows one could listen to its
answers or stop them. Kept in memory: after a restart there is nothing to listen to or to stop.
"""

from collections import OrderedDict

MOST_REMEMBERED = 50_000
"""About 10 MB; the longest unused are forgotten first."""


class Bindings:
    """Session and event ids with the people they belong to."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._owners: OrderedDict[str, str] = OrderedDict()

    def is_foreign(self, key: str, person_id: str | None) -> bool:
        """Whether it is known to belong to somebody else."""
        return self._owners.get(key, person_id) != person_id

    def claim(self, key: str, person_id: str) -> None:
        """Note that it belongs to a person."""
        self._owners[key] = person_id
        self._owners.move_to_end(key)
        while len(self._owners) > self._most:
            self._owners.popitem(last=False)
