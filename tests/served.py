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
from typing import Any

import httpx
import uvicorn

from demo.identity import Visitors
from nightschool.schema import FeedbackDatabase

SECRET = b"a secret that only these tests know"
BROKEN = "broken"
"""The version of this name breaks after its first word."""
SLOW = "slow"
"""The version of this name counts to a thousand, twenty numbers a second."""


@dataclass(frozen=True)
class Site:
    url: str
    database: FeedbackDatabase
    visitors: Visitors


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Serve until the block ends."""
    command = [sys.executable, "-m", "tests.served", str(folder)]
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


def main(folder: Path) -> None:
    """Build the site as `demo.__main__` does, with the scripted engine in place of a model."""
    from demo.classroom import Classroom
    from demo.explanations import Explanations
    from demo.feedback_room import FeedbackRoom
    from demo.nights import Nights
    from demo.web import create_app
    from nightschool.feedback import FeedbackStore
    from nightschool.records import Sampling
    from nightschool.registry import NightBook, VersionRegistry
    from tests.scripted_engine import ScriptedEngine

    database = FeedbackDatabase(folder / "feedback.db")
    store, book, engine = FeedbackStore(database), NightBook(database), ScriptedEngine()
    engine.breaks_after = {BROKEN: 1}
    engine.seconds_per_word = {SLOW: 0.05}
    engine.scripts[SLOW] = " ".join(str(number) for number in range(1000))
    sampling = Sampling(0.7, 1000)
    app = create_app(
        classroom=Classroom(
            store, VersionRegistry(database), engine, sampling=sampling, duel_share=0, chance=random.Random(0)
        ),
        nights=Nights(book, db=database.path, versions=folder / "versions", environment={}),
        explanations=Explanations(
            db=database.path,
            versions=folder / "versions",
            environment={},
            command=[sys.executable, "-m", "tests.stand_in_explanation"],
        ),
        book=book,
        store=store,
        visitors=Visitors(SECRET),
        model_name=engine.model_name,
        is_small=False,
        effort="quick",
        feedback_room=FeedbackRoom(store, engine),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        server.run(sockets=[listener])


class Visitor:
    """A person whose browser is httpx: opens pages, fires the events of their buttons."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.session = uuid.uuid4().hex
        self._config: dict[str, Any] = client.get("/config").json()

    def fire(self, elem_id: str, event: str, *data: Any, event_data: Any = None) -> dict[str, Any]:
        """Fire a widget's event with forged or honest inputs; what the server answered at the end."""
        fired = {"data": list(data), "event_data": event_data, "session_hash": self.session}
        answer = self.client.post("/gradio_api/queue/join?", json={**fired, "fn_index": self._event(elem_id, event)})
        answer.raise_for_status()
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return dict(message)
        raise AssertionError("the stream ended without an answer")

    def _event(self, elem_id: str, event: str) -> int:
        [component] = [c["id"] for c in self._config["components"] if c["props"].get("elem_id") == elem_id]
        return next(
            int(dependency["id"])
            for dependency in self._config["dependencies"]
            if [component, event] in [list(target) for target in dependency["targets"]]
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
