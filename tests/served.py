"""The site in a process of its own, with a scripted engine, and visitors without a browser.

A process of its own, because Gradio leaves event loops open in the process that builds its pages.
"""

import json
import random
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from demo.identity import Visitors
from nightschool.schema import FeedbackDatabase

if TYPE_CHECKING:
    from fastapi import FastAPI

    from demo.rank_room import RankRoom

SECRET = b"a secret that only these tests know"
BROKEN = "broken"
"""The version of this name breaks after its first word."""
HOST_NAME = "nightschool.example"
"""The name by which browsers may call the site besides its address."""
SCRIPTS = "scripts.json"
"""A file of this name in the folder says what each version says."""
SLOW = "slow"
"""The version of this name counts to a thousand, twenty numbers a second."""
EVIL = "evil"
"""The version of this name says every text of `tests.payloads`."""
LONG = "long"
"""The version of this name writes eighty paragraphs in about two seconds."""


@dataclass(frozen=True)
class Site:
    url: str
    database: FeedbackDatabase
    visitors: Visitors


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[Site]:
    """Serve until the block ends; a port of 0 takes a free one.

    People need accounts where there is a file `accounts` in the folder.
    """
    command = [sys.executable, "-m", "tests.served", str(folder), str(port)]
    with (
        closing(FeedbackDatabase(folder / "feedback.db")) as database,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            yield Site(url, database, Visitors(SECRET))
        finally:
            server.terminate()


def build(folder: Path) -> "tuple[FastAPI, RankRoom]":
    """The site as `demo.__main__` builds it, with a scripted engine for a model and a night without training.

    The rank room is to be closed before the process ends.
    """
    from demo.accounts import Accounts
    from demo.classroom import Classroom
    from demo.explanations import Explanations
    from demo.feedback_room import FeedbackRoom
    from demo.leaderboards import Leaderboards
    from demo.lessons import ThumbReasons
    from demo.nightly import Nightly
    from demo.nights import Nights
    from demo.outlook import Outlook
    from demo.rank_room import RankRoom
    from demo.receipt_desk import ReceiptDesk
    from demo.version_room import VersionRoom
    from demo.web import create_app
    from nightschool.feedback import FeedbackStore
    from nightschool.nightly_clock import NightlyClock
    from nightschool.nightly_dates import NightlyDates
    from nightschool.records import Sampling
    from nightschool.registry import NightBook, VersionRegistry
    from nightschool.sessions import EndedSessions
    from tests.payloads import PAYLOADS
    from tests.scripted_engine import ScriptedEngine

    database = FeedbackDatabase(folder / "feedback.db")
    store, book, engine = FeedbackStore(database), NightBook(database), ScriptedEngine()
    store.close_abandoned_replies()
    engine.breaks_after = {BROKEN: 1}
    engine.seconds_per_word = {SLOW: 0.05, LONG: 0.01}
    if (folder / SCRIPTS).exists():
        engine.scripts |= json.loads((folder / SCRIPTS).read_text(encoding="utf-8"))
    engine.scripts[SLOW] = " ".join(str(number) for number in range(1000))
    engine.scripts[EVIL] = "\n\n".join(PAYLOADS)
    engine.scripts[LONG] = "\n\n".join(f"Paragraph {number}." for number in range(80))
    sampling = Sampling(0.7, 1000)
    registry, chance = VersionRegistry(database), random.Random(0)
    rank_room = RankRoom(store, registry, engine, sampling=sampling, count=4, chance=chance)
    accounts = Accounts(folder / "accounts") if (folder / "accounts").exists() else None
    classroom = Classroom(
        store,
        registry,
        engine,
        sampling=sampling,
        duel_share=0,
        chance=random.Random(0),
        reasons=ThumbReasons(("helpful", "clear"), ("wrong", "too_long")),
    )
    versions = folder / "versions"
    nights = Nights(
        book,
        db=database.path,
        versions=versions,
        environment={"STAND_IN": "verdict", "NIGHTSCHOOL_MODEL": engine.model_name},
        command=[sys.executable, "-m", "tests.stand_in_night"],
    )
    dates, clocks = NightlyDates(database), NightlyClock(database)
    nights.timetable = Nightly(nights, dates, clocks, clock=None, zone_name="UTC", effort="quick")  # looks at no clock
    app = create_app(
        classroom=classroom,
        nights=nights,
        outlook=Outlook(store, db=database.path, environment={}),
        explanations=Explanations(
            db=database.path,
            versions=versions,
            environment={},
            command=[sys.executable, "-m", "tests.stand_in_explanation"],
        ),
        book=book,
        visitors=Visitors(SECRET, accounts, EndedSessions(database, kept_seconds=1000)),
        model_name=engine.model_name,
        is_small=False,
        effort="quick",
        rank_room=rank_room,
        feedback_room=FeedbackRoom(store, engine, registry, leave=rank_room.leave),
        version_room=VersionRoom(
            store,
            registry,
            book,
            engine,
            versions=versions,
            leaderboards=Leaderboards(store, registry, db=database.path, environment={}),
            receipts=ReceiptDesk(store, registry, db=database.path, versions=versions, environment={}),
            trials=classroom.trials,
        ),
        host_names=[HOST_NAME],
    )
    return app, rank_room


def main(folder: Path, port: int) -> None:
    """Serve on the port, and say where."""
    app, rank_room = build(folder)
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        with closing(rank_room):
            server.run(sockets=[listener])


class Visitor:
    """A person whose browser is httpx: opens pages, fires the events of their buttons."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.session = uuid.uuid4().hex
        self.event_id = ""
        self._config: dict[str, Any] = client.get("/config").json()

    def fire(self, elem_id: str, event: str, *data: Any, given: object = None) -> dict[str, Any]:
        """Fire a widget's event with forged or honest inputs; what the server answered at the end.

        Inputs that are not named are sent as nothing; `given` is what the browser's event carries.
        """
        dependency = self._event(elem_id, event)
        body = {
            "data": [*data, *[None] * (len(dependency["inputs"]) - len(data))],
            "fn_index": dependency["id"],
            "session_hash": self.session,
            "event_data": given,
        }
        if dependency["queue"] is False:
            answer = self.client.post("/gradio_api/run/predict", json=body)
            return {"success": answer.is_success, "output": answer.json()}
        answer = self.client.post("/gradio_api/queue/join?", json=body)
        answer.raise_for_status()
        self.event_id = answer.json()["event_id"]
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return dict(message)
        raise AssertionError("the stream ended without an answer")

    def _event(self, elem_id: str, event: str) -> dict[str, Any]:
        [component] = [c["id"] for c in self._config["components"] if c["props"].get("elem_id") == elem_id]
        return next(
            dict(dependency)
            for dependency in self._config["dependencies"]
            if [component, event] in [list(target) for target in dependency["targets"]] and dependency["backend_fn"]
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
