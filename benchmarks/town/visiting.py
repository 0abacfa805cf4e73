"""A simulated person's way into the chat: gradio_client on its public endpoints, with a cookie of their own."""

import os
from dataclasses import dataclass
from typing import Any

import httpx
from itsdangerous import URLSafeSerializer

from demo.identity import COOKIE

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio_client: nothing is told to anybody

from gradio_client import Client

PATIENCE = 600.0
"""Seconds for one answer: others may be waiting before it."""


@dataclass(frozen=True)
class Answer:
    """A single answer in the chat."""

    reply: str
    text: str


@dataclass(frozen=True)
class Duel:
    """Two answers without their names."""

    duel: str
    left: str
    right: str


@dataclass(frozen=True)
class Round:
    """Answers to be put in order, by name."""

    ranking: str
    question: str
    answers: dict[str, str]


class Visitor:
    """One person's browser."""

    def __init__(self, url: str) -> None:
        cookie = httpx.get(url, timeout=60).raise_for_status().cookies[COOKIE]
        self.person_id = str(URLSafeSerializer("").loads_unsafe(cookie)[1])
        """What the cookie says, unchecked: under which id the person's rows stand."""
        self._client = Client(url, headers={"Cookie": f"{COOKIE}={cookie}"}, verbose=False)

    def ask(self, question: str, *, compare: bool = False) -> Answer | Duel:
        """Ask in a new conversation; a duel whose answers come out the same is an answer."""
        found = self._do("/ask", text=question, compare=compare)
        if "duel" in found:
            return Duel(found["duel"], found["left"], found["right"])
        return Answer(found["reply"], found["text"])

    def thumb(self, reply: str, value: str) -> None:
        self._do("/thumb", reply=reply, value=value)

    def correct(self, reply: str, text: str) -> None:
        self._do("/correct", reply=reply, text=text)

    def vote(self, duel: str, outcome: str) -> None:
        self._do("/duel_vote", duel=duel, outcome=outcome)

    def next_round(self) -> Round:
        """The Rank page's next prompt."""
        found = self._do("/ranking", language="en")
        return Round(found["ranking"], found["question"], dict(found["answers"]))

    def rank(self, ranking: str, order: list[list[str]]) -> None:
        self._do("/rank", ranking=ranking, order=order)

    def skip(self, ranking: str) -> None:
        self._do("/skip_ranking", ranking=ranking)

    def close(self) -> None:
        self._client.close()

    def _do(self, api_name: str, **given: Any) -> dict[str, Any]:
        """Call an endpoint and wait for its last answer. Raises gradio_client's `AppError` for a refusal."""
        return dict(self._client.submit(**given, api_name=api_name).result(PATIENCE))
