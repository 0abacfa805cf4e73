"""What the chat needs from whatever writes replies: prepare a prompt, stream a reply from a named version."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from nightschool.records import Message, Sampling, Version


@dataclass(frozen=True)
class Piece:
    """One step of a stream: the whole text so far and all tokens so far. `ended` marks the last piece."""

    text: str
    token_ids: tuple[int, ...]
    ended: bool


class Engine(Protocol):
    """Streams replies from named versions. Closing the iterator stops the work within one step."""

    model_name: str

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation as the model will see it (oldest turns left out when too long).

        Raises `BadInput` when the last message is blank or alone does not fit.
        """
        ...

    def reply_ids(self, text: str) -> list[int]:
        """Token ids of a reply that a person wrote, end-of-turn token included."""
        ...

    def prepare(self, version: Version) -> None:
        """Have the version in memory. Raises `DamagedVersion` when it must not be served."""
        ...

    def stream(self, version: Version, prompt_ids: Sequence[int], sampling: Sampling, seed: int) -> Iterator[Piece]:
        """Draw a reply; a piece at least every half second while the prompt is read, then one per token."""
        ...

    def stream_in_step(
        self, versions: Sequence[Version], prompt_ids: Sequence[int], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Iterator[Piece]]:
        """Draw several replies to one prompt, as `stream` each; faster where they are read a piece of each in turn.

        One that is closed, or whose version cannot be loaded, leaves the others alone; a step that breaks ends all.
        """
        ...
