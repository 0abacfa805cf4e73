"""The registry of versions and nights, and the champion pointer. The only writer of those tables.

What it does on the open database stands in `version_lineage` (which judgements made which versions), `championship`
(who answers, and who is on probation) and `night_reading` (what pages and commands read of nights).
"""

import json
import os
from collections.abc import Collection, Iterable
from typing import Any

from nightschool import night_reading, version_lineage
from nightschool.championship import champion_of, end_probation, is_open, move_champion, open_probation, terms_of
from nightschool.errors import BadInput, ChampionChanged, UnknownVersion
from nightschool.ids import new_id, utc_now
from nightschool.records import Curves, Figures, Night, NightState, Probation, Term, VerdictKind, Version
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase

BY_HAND = Said("Another version was chosen by hand.", "有人手动选择了版本。")
UNLEARNED = Said("Judgements that made it were deleted.", "用来训练它的评判已被删除。")
DIED = "The night's process ended without a word (killed, or the machine went off)."
NEWER = Said("A newer version took its place.", "已由更新的版本接替。")
REPORTED = (
    "reason_zh", "win_rate", "win_rate_low", "win_rate_high", "prompts", "kl", "judgements", "pairs", "thumbs",
    "training_set",
)  # fmt: skip
"""What `Figures` takes of a night's report."""


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
        transaction: no kill can leave one without the other. Raises `ChampionChanged`, and registers nothing, where the
        rival does not answer any more.
        """
        with self._database.write() as db:
            if rival is not None and (answering := champion_of(db)) != rival:
                raise ChampionChanged(
                    f"The version {version.id} was compared with {rival}, and {answering} answers now; compare it with "
                    "that one, or promote it by hand."
                )
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
                move_champion(db, version.id, promote_because)
            if rival is not None:
                end_probation(db, "ended", NEWER)
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
            end_probation(db, "ended", BY_HAND)
            move_champion(db, version.id, reason)

    def probation(self) -> Probation | None:
        """The version that people watch now, if there is one."""
        row = open_probation(self._database.read())
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
            if not is_open(db, probation):
                return False
            if probation.version_id in version_lineage.gone_of(db):
                end_probation(db, "ended", UNLEARNED)
                return False
            end_probation(db, "promoted", reason)
            db.table("versions").update(probation.version_id, {"verdict": VerdictKind.PROMOTED})
            if champion_of(db) == probation.rival_id:
                move_champion(db, probation.version_id, reason.en)
        return True

    def roll_back(self, probation: Probation, reason: Said) -> bool:
        """People do not want it: its rival answers, and it is shown no more. False when the probation is over."""
        with self._database.write() as db:
            if not is_open(db, probation):
                return False
            end_probation(db, "rolled_back", reason)
            db.table("versions").update(probation.version_id, {"verdict": VerdictKind.REJECTED})
            if champion_of(db) == probation.version_id:
                move_champion(db, probation.rival_id, reason.en)
        return True

    def terms(self) -> tuple[Term, ...]:
        """Which version answered from when to when, oldest first; the last one answers still."""
        return terms_of(self._database.read())

    def state_mark(self) -> str:
        """Changes whenever a version is made, promoted, watched, retired, or may have become tainted."""
        row = next(
            self._database.read().query(
                """SELECT (SELECT version_id FROM champion), (SELECT count(*) FROM versions),
                          (SELECT count(retired_at) FROM versions), (SELECT count(*) FROM promotions),
                          (SELECT max(started_at) || count(ended_at) FROM probations),
                          (SELECT count(*) FROM erased_sources)"""
            )
        )
        return " ".join(str(value) for value in row.values())

    # ---- receipts ------------------------------------------------------------------------------------------------

    def receipts(self, version_id: str) -> tuple[tuple[str, str], ...]:
        """(kind, id) of each judgement that made a version, sorted; also of those that were deleted since."""
        return tuple(version_lineage.receipts_of(self._database.read(), self.get(version_id).id))

    def receipt_counts(self) -> dict[str, dict[str, int]]:
        """Version -> kind of judgement -> how many of that kind made it; without those that none made."""
        return version_lineage.receipt_counts_of(self._database.read())

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
            watched = open_probation(db)
            if watched is not None and watched["version_id"] in retired:
                end_probation(db, "ended", UNLEARNED)
            if heir is not None:
                move_champion(db, heir, "the version before was retired: judgements that made it were deleted")
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

    def figures(self) -> dict[str, Figures]:
        """Version -> what the night that made it found; without those that no night made."""
        names = {field: f"$.{field}" for field in REPORTED}
        rows = self._database.read().query(
            f"""SELECT v.id AS version, n.started_at, n.effort, n.practice, n.verdict, n.reason,
                       {", ".join(f"json_extract(n.report, '{path}') AS {field}" for field, path in names.items())}
                FROM versions v JOIN nights n ON n.id = v.night_id"""
        )
        return {
            row.pop("version"): Figures(
                **{**row, "practice": bool(row["practice"]), "verdict": _verdict(row["verdict"])}
            )
            for row in rows
        }

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


def _version(row: dict[str, Any]) -> Version:
    return Version(**{**row, "verdict": _verdict(row["verdict"])})


def _verdict(name: str | None) -> VerdictKind | None:
    return VerdictKind(name) if name else None
