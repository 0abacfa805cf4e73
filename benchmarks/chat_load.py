"""Many people at once: `python -m benchmarks.chat_load [--quick] [--seed N] [--people N] [--seconds S] [--json]`.

20 people chat, vote, compare, rank and change their minds for two minutes on the real site (one process, as `python -m
demo` runs it) with an engine that answers from a script at once, so that what is measured is the site and not a model.
They act over HTTP as a browser does, each in a tab of their own. At the end every vote that was acknowledged is looked
up in the database: `lost_votes` of them are not there as they were last given. `errors` counts what a person would have
seen go wrong. `ack_ms` is the time from the click on a vote to its "Saved".
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import OthersCpu, tell
from benchmarks.tab import Answered, Tab
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import Site, served

QUESTIONS = [
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Tell me about cats.",
    "What is a loop in Python?",
    "Why do leaves fall?",
    "我该怎么煮鸡蛋？",
]
THINKS = (1.0, 5.0)
"""Seconds between two things a person does: the answers are short, and so is the reading."""


@dataclass
class Told:
    """What happened to one person, or to all."""

    acks: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    answers: int = 0
    thumbs: dict[str, str] = field(default_factory=dict)
    """Reply -> its last acknowledged thumb; empty: taken back."""
    duels: dict[str, str] = field(default_factory=dict)
    rounds: set[str] = field(default_factory=set)

    def add(self, other: "Told") -> None:
        """Take in what happened to somebody else."""
        self.acks += other.acks
        self.errors += other.errors
        self.answers += other.answers
        self.thumbs |= other.thumbs
        self.duels |= other.duels
        self.rounds |= other.rounds


class Person:
    """Does what people do until the time is over."""

    def __init__(self, url: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self.tab = Tab(url)
        self.told = Told()

    def live(self, over: float) -> None:
        """Ask, judge, compare, rank; more questions than anything else."""
        try:
            self._saw(self.tab.fire("new", "click"))
            while time.monotonic() < over:
                act = self._chance.choices([self.ask, self.judge, self.compare, self.rank], [4, 4, 2, 1])[0]
                act()
                time.sleep(self._chance.uniform(*THINKS))
        except Exception as error:  # whatever ends a person's visit early counts against the site
            self.told.errors.append(f"The visit ended with {type(error).__name__}: {error}")
        finally:
            self.tab.close()

    def ask(self) -> None:
        """A question; now and then in a new conversation."""
        if self._chance.random() < 0.2:
            self._saw(self.tab.fire("new", "click"))
        self.put(self._chance.choice(QUESTIONS))

    def put(self, question: str) -> None:
        """Ask just this."""
        self.tab.type("box", question)
        if self._saw(self.tab.fire("box", "submit")):
            self.told.answers += 1

    def judge(self) -> None:
        """A thumb on an answer on screen, with a reason and a comment; sometimes it is changed or taken back."""
        replies = [turn for turn in self.tab.shown("talk")["turns"] if turn["role"] == "assistant"]
        if not replies:
            return
        reply, value = self._chance.choice(replies)["id"], self._chance.choice(["up", "down", "down", ""])
        reasons = {"up": ["helpful"], "down": ["wrong"], "": []}[value]
        told = {"number": 1, "id": reply, "value": value, "reasons": reasons, "comment": "so so" if value else ""}
        answer = self.tab.fire("talk", "judged", told)
        if not self._saw(answer, vote=True):
            return
        acknowledged = self.tab.shown("talk", "ack")
        if acknowledged["ok"]:
            self.told.thumbs[reply] = value
        else:
            self.told.errors.append(acknowledged["error"])

    def compare(self) -> None:
        """A duel, and its decision."""
        self.tab.type("box", self._chance.choice(QUESTIONS))
        if not self._saw(self.tab.fire("compare", "click")):
            return
        self.told.answers += 2
        duel = self.tab.shown("talk")["duel"]
        if not duel:
            return  # both came out the same
        time.sleep(self._chance.uniform(*THINKS))
        outcome = self._chance.choice(["left", "right", "tie", "both_bad"])
        if self._saw(self.tab.fire("talk", "voted", {"duel": duel["id"], "outcome": outcome}), vote=True):
            self.told.duels[duel["id"]] = outcome

    def rank(self) -> None:
        """A round of the Rank page in some order."""
        if not self._saw(self.tab.fire("rank-board", "continued", {})):
            return
        board = self.tab.shown("rank-board")
        names = list(board["answers"])
        self.told.answers += len(names)
        self._chance.shuffle(names)
        time.sleep(self._chance.uniform(*THINKS))
        told = {"round": board["round"], "groups": [names[:2], *([name] for name in names[2:])]}
        if self._saw(self.tab.fire("rank-board", "ranked", told), vote=True):
            self.told.rounds.add(board["round"])

    def _saw(self, answer: Answered, *, vote: bool = False) -> bool:
        """Note how an event ended; whether it went well."""
        if answer.error:
            self.told.errors.append(answer.error)
        elif vote:
            self.told.acks.append(answer.seconds)
        return not answer.error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="15 seconds instead of 120")
    parser.add_argument("--seed", type=int, default=0, help="what the people do")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, help="how long they stay (default 120)")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    seconds = words.seconds or (15 if words.quick else 120)
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as site:
        registry = VersionRegistry(site.database)
        for name in ("v1", "v2", "v3"):
            registry.add(Version(name, INITIAL, utc_now(), None, "base", name, VerdictKind.PROMOTED), [])
        registry.promote("v3", "a load test")
        told, others = _everybody(site, words.people, seconds, words.seed)
        lost = lost_votes(site, told)
    tell(_figures(told, lost, words.people, seconds) | {"cores_of_site_and_others": others}, as_json=words.json)
    for sentence, count in Counter(told.errors).most_common(5):
        print(f"{count} times: {sentence}", flush=True)
    if lost or told.errors:
        raise SystemExit(1)


def _everybody(site: Site, people: int, seconds: float, seed: int) -> tuple[Told, float]:
    """What happened to all of them, and how many cores the site and other programs took."""
    everybody = [Person(site.url, 1000 * seed + number) for number in range(people)]
    others, over = OthersCpu(), time.monotonic() + seconds
    threads = [threading.Thread(target=person.live, args=[over]) for person in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = Told()
    for person in everybody:
        told.add(person.told)
    return told, others.cores()


def lost_votes(site: Site, told: Told) -> int:
    """How many acknowledged votes are not in the database as they were last given."""
    db = site.database.read()
    thumbs = dict(db.execute("SELECT reply_id, value FROM thumbs WHERE replaced_at IS NULL").fetchall())
    duels = dict(db.execute("SELECT id, outcome FROM duels WHERE outcome IS NOT NULL").fetchall())
    rounds = {row[0] for row in db.execute("SELECT id FROM ranking_rounds WHERE ranking_id IS NOT NULL").fetchall()}
    return (
        sum(thumbs.get(reply, "") != value for reply, value in told.thumbs.items())
        + sum(duels.get(duel) != outcome for duel, outcome in told.duels.items())
        + len(told.rounds - rounds)
    )


def _figures(told: Told, lost: int, people: int, seconds: float) -> dict[str, Any]:
    acks = sorted(told.acks) or [float("nan")]
    return {
        "people": people,
        "seconds": seconds,
        "answers": told.answers,
        "votes": len(told.acks),
        "lost_votes": lost,
        "errors": len(told.errors),
        "ack_ms_median": 1000 * statistics.median(acks),
        "ack_ms_p99": 1000 * acks[min(len(acks) - 1, int(0.99 * len(acks)))],
        "ack_ms_worst": 1000 * acks[-1],
    }


if __name__ == "__main__":
    main()
