"""Trying a version: the owner talks to one that does not answer everybody, in a conversation of its own.

The version is kept with the conversation, so it is there after a reload, on another device, after a restart. Every
reply of that conversation is written by it until the trial is ended; a damaged one is refused, nobody stands in for it.
"""

from nightschool.engine import Engine
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.promoting import refuse_what_deleted_judgements_made
from nightschool.records import Version
from nightschool.registry import VersionRegistry


class Trials:
    """The versions that are tried, for any number of conversations."""

    def __init__(self, store: FeedbackStore, registry: VersionRegistry, engine: Engine) -> None:
        self._store = store
        self._registry = registry
        self._engine = engine

    def start(self, person_id: str, version_id: str, title: str) -> str:
        """A conversation in which a version writes every reply; its id. For the owner: the caller has checked that.

        Raises `UnknownVersion`, `DamagedVersion`, or `BadInput` for one that deleted judgements made.
        """
        return self._store.start_trial(person_id, self._ready(version_id).id, title)

    def end(self, person_id: str, conversation_id: str) -> None:
        """From the next reply on, the version that answers everybody writes in this conversation too."""
        self._store.end_trial(conversation_id, person_id)

    def version_of(self, person_id: str, conversation_id: str, is_owner: bool) -> Version | None:
        """The version that is tried in a conversation, ready to write; None where the champion writes.

        Refused to others than the owner (who may have been one when the trial began), and when it is damaged.
        """
        if not conversation_id:
            return None
        name = self._store.conversation(conversation_id, person_id).tried_version
        if name is None:
            return None
        if not is_owner:
            raise BadInput(
                f"Only the owner may try a version; end the trial of {name} here, or start a new conversation."
            )
        return self._ready(name)

    def _ready(self, version_id: str) -> Version:
        version = self._registry.get(version_id)
        refuse_what_deleted_judgements_made(self._registry, version)
        self._engine.prepare(version)
        return version
