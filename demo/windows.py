"""How much of each conversation is shown: its newest messages, and more where somebody looked back.

A browser's work per update grows with what is shown, so a long conversation begins with its newest messages.
"""

import threading
from collections import OrderedDict

WINDOW = 40
"""Messages shown at first, and as many more with each look back: twenty questions with their answers."""
REMEMBERED = 1000
"""Conversations that somebody looked back in; the one longest out of use is shown from its end again."""


class Windows:
    """Messages shown of each conversation, for any number of people at once."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._widths: OrderedDict[str, int] = OrderedDict()

    def width(self, conversation_id: str) -> int:
        """How many of its newest messages are shown."""
        with self._turn:
            if conversation_id in self._widths:
                self._widths.move_to_end(conversation_id)
            return self._widths.get(conversation_id, WINDOW)

    def widen(self, conversation_id: str) -> None:
        """Show earlier messages too."""
        with self._turn:
            self._widths[conversation_id] = self._widths.pop(conversation_id, WINDOW) + WINDOW
            while len(self._widths) > REMEMBERED:
                self._widths.popitem(last=False)

    def reset(self, conversation_id: str) -> None:
        """Show the newest messages only."""
        with self._turn:
            self._widths.pop(conversation_id, None)
