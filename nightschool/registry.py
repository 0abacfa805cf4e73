"""The registry of versions and nights, and the champion pointer. The only writer of those tables.

Which judgements made which versions is worked out by functions on the open database, in `version_lineage`; what pages
and commands read of nights, in `night_reading`.
"""

import json
import os
from collections.abc import Collection, Iterable
from typing import Any

import sqlite_utils

from nightschool import night_reading, version_lineage
from nightschool.errors import BadInput, UnknownVersion
from nightschool.ids import new_id, utc_now
from nightschool.records import Curves, Night, NightState, Probation, VerdictKind, Version
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase

BY_HAND = Said("Another version was chosen by hand.", "有人手动选择了版本。")
UNLEARNED = Said("Judgements that made it were deleted.", "用来训练它的评判已被删除。")
DIED = "The night's process ended without a word (killed, or the machine went off)."
NEWER = Said("A newer version took its place.", "已由更新的版本接替。")


class VersionRegistry:
    """Versions, receipts, promotions and the champion pointer. Raises `UnknownVersion` for names nobody registered."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    def champion(self) -> Version:
        """The version that answers."""
        row = next(self._database.read().query("SELECT v.* FROM champion c JOIN versions v ON v.id = c.version_id"))
        return _version(row)

    def get(self, version_id: str) -> Version:
        row = next(self._database.read().query("SELECT * FROM versions WHERE id = ?", [version_id]), None)
        if row is None:
            names = ", ".join(version.id for version in self.list())
            raise UnknownVersion(f"There is no version {version_id!r}; the versions here are: {names}.")
        return _version(row)

    def list(self, *, retired: bool = False) -> list[Version]:
        """All versions that may serve, oldest first; with `retired` those too that were retired."""
        rows = self._database.read().query(
            "SELECT * FROM versions WHERE retired_at IS NULL OR ? ORDER BY created_at, id", [retired]
        )
        return [_version(row) for row in rows]

    def forebears(self, version: Version) -> tuple[Version, ...]:
        """The versions that one grew from, nearest first, without retired ones; the initial version is the last."""
        names = version_lineage.line_of(self._database.read(), version.id)[1:]
        return tuple(each for name in names if (each := self.get(name)).retired_at is None)

    def next_number(self) -> int:
        """The number of the next version: 1 for the first one that a night makes."""
        return int(self._database.read().execute("SELECT count(*) FROM versions").fetchone()[0])

    def add(
        self,
        version: Version,
        receipts: Iterable[tuple[str, str]],
        *,
        promote_because: str | None = None,
        rival: str | None = None,
    ) -> None:
        """Register a version whose folder is complete on disk, with the (kind, id) of each judgement that made it.

        With a reason it becomes the champion, with a rival it is on probation beside that one, in the same
        transaction: no kill can leave one without the other.
        """
        with self._database.write() as db:
            db.table("versions").insert(
                {
                    "id": version.id,
                    "parent_id": version.parent_id,
                    "created_at": version.created_at,
                    "night_id": version.night_id,
                    "base_fingerprint": version.base_fingerprint,
                    "manifest_sha256": version.manifest_sha256,
                    "verdict": version.verdict,
                }
            )
            db.table("receipts").insert_all(
                {"version_id": version.id, "source_kind": kind, "source_id": source} for kind, source in receipts
            )
            if promote_because is not None:
                _promote(db, version.id, promote_because)
            if rival is not None:
                _end_probation(db, "ended", NEWER)
                started = {"version_id": version.id, "rival_id": rival, "started_at": utc_now()}
                db.table("probations").insert(started)

    def of_night(self, night_id: str) -> Version | None:
        """The version that a night made, if it came so far."""
        row = next(self._database.read().query("SELECT * FROM versions WHERE night_id = ?", [night_id]), None)
        return _version(row) if row else None

    def used_sources(self) -> set[tuple[str, str]]:
        """(kind, id) of every judgement behind a version that was promoted, by a night or by hand, or on probation.

        Those of retired versions are to be learned anew.
        """
        rows = self._database.read().query("SELECT source_kind, source_id FROM used_sources")
        return {(row["source_kind"], row["source_id"]) for row in rows}

    def promote(self, version_id: str, reason: str) -> None:
        """Move the champion pointer and record why, in one transaction. A reply in flight ends on its own version.

        Raises `BadInput` for a version that deleted judgements made.
        """
        version = self.get(version_id)
        with self._database.write() as db:
            if version.retired_at is not None or version.id in version_lineage.gone_of(db):
                raise BadInput(
                    f"The version {version.id} learned from judgements that were deleted since, so it may not answer "
                    "again; promote another one (`python -m training versions` lists them)."
                )
            _end_probation(db, "ended", BY_HAND)
            _promote(db, version.id, reason)

    def probation(self) -> Probation | None:
        """The version that people watch now, if there is one."""
        row = _open_probation(self._database.read())
        return Probation(**row) if row else None

    def probations(self) -> tuple[Probation, ...]:
        """All of them, oldest first."""
        rows = self._database.read().query("SELECT * FROM probations ORDER BY started_at")
        return tuple(Probation(**row) for row in rows)

    def confirm(self, probation: Probation, reason: Said) -> bool:
        """People prefer it: it is the champion from now on. False when it is not to be.

        That is when the probation is over (nothing is done then), or when judgements that made the version were
        deleted: the probation ends, and the next night retires the version.
        """
        with self._database.write() as db:
            if not _still_open(db, probation):
                return False
            if probation.version_id in version_lineage.gone_of(db):
                _end_probation(db, "ended", UNLEARNED)
                return False
            _end_probation(db, "promoted", reason)
            db.table("versions").update(probation.version_id, {"verdict": VerdictKind.PROMOTED})
            if _champion(db) == probation.rival_id:
                _promote(db, probation.version_id, reason.en)
        return True

    def roll_back(self, probation: Probation, reason: Said) -> bool:
        """People do not want it: its rival answers, and it is shown no more. False when the probation is over."""
        with self._database.write() as db:
            if not _still_open(db, probation):
                return False
            _end_probation(db, "rolled_back", reason)
            db.table("versions").update(probation.version_id, {"verdict": VerdictKind.REJECTED})
            if _champion(db) == probation.version_id:
                _promote(db, probation.rival_id, reason.en)
        return True

    # ---- receipts ------------------------------------------------------------------------------------------------

    def receipts(self, version_id: str) -> tuple[tuple[str, str], ...]:
        """(kind, id) of each judgement that made a version, sorted; also of those that were deleted since."""
        return tuple(version_lineage.receipts_of(self._database.read(), self.get(version_id).id))

    def versions_of(self, source_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Id of a judgement -> the versions it went into, oldest first; without those that went into none."""
        return version_lineage.versions_of(self._database.read(), source_ids)

    def tainted(self) -> dict[str, set[tuple[str, str]]]:
        """Version -> (kind, id) of the deleted judgements that made it, or a version it grew from."""
        return version_lineage.gone_of(self._database.read())

    def retire_tainted(self) -> tuple[str, ...]:
        """Take every tainted version out of service for good and return their ids, sorted; all or none.

        In place of a champion that is retired, the newest version it grew from that is not tainted answers. Nobody
        watches a retired version any more; its rival is one that it grew from, or is retired with it.
        """
        with self._database.write() as db:
            retired, heir = version_lineage.retire_tainted(db)
            watched = _open_probation(db)
            if watched is not None and watched["version_id"] in retired:
                _end_probation(db, "ended", UNLEARNED)
            if heir is not None:
                _promote(db, heir, "the version before was retired: judgements that made it were deleted")
        return tuple(retired)

    def rebuild_is_due(self) -> bool:
        """Whether the newest version is a tainted one, so that one without the deleted judgements is to be made."""
        return version_lineage.rebuild_is_due(self._database.read())


class NightBook:
    """Nights, their stages, log and curves. Written by the night's process, read by the chat's School page."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    def start(self, effort: str, seed: int, *, practice: bool) -> str:
        """Open a night, closing those whose process died. Call it only while holding the night's lock."""
        night_id = new_id()
        with self._database.write() as db:
            _close_dead_nights(db)
            db.table("nights").insert(
                {
                    "id": night_id,
                    "state": NightState.RUNNING,
                    "effort": effort,
                    "seed": seed,
                    "practice": int(practice),
                    "started_at": utc_now(),
                    **_this_process(),
                }
            )
        return night_id

    def resume(self, night_id: str) -> None:
        """Open an interrupted night again. Call it only while holding the night's lock."""
        with self._database.write() as db:
            _close_dead_nights(db)
            opened = {"state": NightState.RUNNING, "ended_at": None, "verdict": None, "reason": "", "report": None}
            db.table("nights").update(night_id, opened | _this_process())

    def close_dead(self, reason: str = DIED) -> None:
        """Mark nights still `running` as interrupted, and why. Call it only while holding the night's lock."""
        with self._database.write() as db:
            _close_dead_nights(db, reason)

    def start_stage(self, night_id: str, position: int, name: str) -> None:
        """Open a stage; one that a resumed night goes through again is opened again."""
        with self._database.write() as db:
            db.table("night_stages").insert(
                {
                    "night_id": night_id,
                    "position": position,
                    "name": name,
                    "state": NightState.RUNNING,
                    "started_at": utc_now(),
                },
                replace=True,
            )

    def stage_progress(self, night_id: str, position: int, fraction: float, detail: str) -> None:
        with self._database.write() as db:
            db.table("night_stages").update((night_id, position), {"progress": fraction, "detail": detail})

    def end_stage(self, night_id: str, position: int, state: NightState, seconds: float, detail: str) -> None:
        with self._database.write() as db:
            change: dict[str, Any] = {"state": state, "seconds": seconds, "detail": detail}
            if state is NightState.DONE:
                change["progress"] = 1.0
            db.table("night_stages").update((night_id, position), change)

    def log(self, night_id: str, text: str) -> None:
        with self._database.write() as db:
            db.table("night_log").insert({"id": new_id(), "night_id": night_id, "created_at": utc_now(), "text": text})

    def metrics(self, night_id: str, stage: str, step: int, values: dict[str, float]) -> None:
        """Record one point of several curves; a resumed night may record its last point once more."""
        with self._database.write() as db:
            db.table("night_metrics").insert_all(
                (
                    {"night_id": night_id, "stage": stage, "step": step, "name": name, "value": float(value)}
                    for name, value in values.items()
                ),
                replace=True,
            )

    def finish(
        self,
        night_id: str,
        state: NightState,
        verdict: VerdictKind | None,
        reason: str,
        *,
        version_id: str | None,
        report: dict[str, Any],
    ) -> None:
        with self._database.write() as db:
            db.table("nights").update(
                night_id,
                {
                    "state": state,
                    "ended_at": utc_now(),
                    "verdict": verdict,
                    "reason": reason,
                    "version_id": version_id,
                    "report": json.dumps(report, ensure_ascii=False),
                },
            )

    def night(self, night_id: str) -> Night | None:
        return night_reading.read_night(self._database.read(), night_id)

    def last(self) -> Night | None:
        """The newest night, running or ended."""
        return night_reading.read_last(self._database.read())

    def nights(self) -> list[Night]:
        """All nights, oldest first."""
        return night_reading.read_nights(self._database.read())

    def history(self, limit: int = 100) -> list[Night]:
        """The newest nights, oldest first, without their stages and reports: cheap enough for every look at a page."""
        return night_reading.read_history(self._database.read(), limit)

    def log_lines(self, night_id: str, limit: int = 200) -> list[tuple[str, str]]:
        """The newest `limit` lines of a night's log as (time, text), oldest first."""
        return night_reading.read_log(self._database.read(), night_id, limit)

    def curves(self, night_id: str) -> Curves:
        """Stage -> name -> the points (step, value) a night recorded, in order."""
        return night_reading.read_curves(self._database.read(), night_id)

    def usual_seconds(self, effort: str) -> dict[str, float]:
        """How long each stage took in the newest night of this effort that went through all; empty without one."""
        return night_reading.read_usual_seconds(self._database.read(), effort)


def _close_dead_nights(db: Any, reason: str = DIED) -> None:
    db.execute(
        "UPDATE nights SET state = 'interrupted', ended_at = ?, reason = ? WHERE state = 'running'", [utc_now(), reason]
    )
    db.execute("UPDATE night_stages SET state = 'interrupted' WHERE state = 'running'")


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "taken_at": utc_now()}


def _open_probation(db: sqlite_utils.Database) -> dict[str, Any] | None:
    return next(db.query("SELECT * FROM probations WHERE ended_at IS NULL"), None)


def _still_open(db: sqlite_utils.Database, probation: Probation) -> bool:
    row = _open_probation(db)
    return row is not None and row["version_id"] == probation.version_id


def _end_probation(db: sqlite_utils.Database, fate: str, reason: Said) -> None:
    """Close the open probation, if there is one; a version that only waited is held from then on."""
    db.execute(
        "UPDATE versions SET verdict = 'held' WHERE verdict = 'probation' "
        "AND id IN (SELECT version_id FROM probations WHERE ended_at IS NULL)"
    )
    db.execute(
        "UPDATE probations SET ended_at = ?, fate = ?, reason = ?, reason_zh = ? WHERE ended_at IS NULL",
        [utc_now(), fate, reason.en, reason.zh],
    )


def _champion(db: sqlite_utils.Database) -> str:
    return str(db.execute("SELECT version_id FROM champion").fetchone()[0])


def _promote(db: sqlite_utils.Database, version_id: str, reason: str) -> None:
    previous = _champion(db)
    db.table("champion").update(1, {"version_id": version_id})
    db.table("promotions").insert(
        {
            "id": new_id(),
            "version_id": version_id,
            "previous_id": previous,
            "reason": reason,
            "created_at": utc_now(),
        }
    )


def _version(row: dict[str, Any]) -> Version:
    return Version(**{**row, "verdict": VerdictKind(row["verdict"]) if row["verdict"] else None})
