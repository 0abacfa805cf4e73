"""Ids and times of rows: UUIDv7 text (sortable by time, safe to merge between machines) and UTC ISO strings."""

from datetime import UTC, datetime

import uuid_utils


def new_id() -> str:
    """A new UUIDv7; ids made by one process sort in the order they were made."""
    return str(uuid_utils.uuid7())


def utc_now() -> str:
    """The time now as UTC ISO text with microseconds, which sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
