"""A tab without a browser: keeps the values of a page's widgets as Gradio's own client does, and fires their events.

What it sends and reads is what a browser sends and reads: the page (which gives the cookie), its configuration, a POST
for each event and the stream of its answers, with changes applied to what is on screen.
"""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from gradio_client.utils import apply_diff

SHORTEST_WAIT = 60.0
"""Seconds before an event that is not answered is given up."""


@dataclass(frozen=True)
class Answered:
    """How an event ended."""

    seconds: float
    """From the click to the last answer."""
    error: str
    """What a person would be told; empty: nothing went wrong."""


class Tab:
    """One page, one visitor."""

    def __init__(self, url: str, path: str = "/") -> None:
        self._client = httpx.Client(base_url=url, timeout=SHORTEST_WAIT)
        self._client.get(path).raise_for_status()
        config = self._client.get("/config").raise_for_status().json()
        self._events: list[dict[str, Any]] = config["dependencies"]
        self._props: dict[int, dict[str, Any]] = {part["id"]: dict(part["props"]) for part in config["components"]}
        self._ids = {props["elem_id"]: id for id, props in self._props.items() if props.get("elem_id")}
        self._session = uuid.uuid4().hex

    def close(self) -> None:
        self._client.close()

    def shown(self, elem_id: str, name: str = "value") -> Any:
        """What a widget shows: its value, or a property that a page gave a widget of its own."""
        props = self._props[self._ids[elem_id]]
        return props.get(name) if name == "value" else props["props"].get(name)

    def type(self, elem_id: str, value: Any) -> None:
        """Give a widget a value, as a person does."""
        self._props[self._ids[elem_id]]["value"] = value

    def fire(self, elem_id: str, event: str, told: dict[str, Any] | None = None) -> Answered:
        """Fire a widget's event with what is on screen, and read its answers to the end."""
        target = [self._ids[elem_id], event]
        found = next(one for one in self._events if target in [list(each) for each in one["targets"]])
        body = {
            "data": [self._props[id].get("value") for id in found["inputs"]],
            "fn_index": found["id"],
            "session_hash": self._session,
            "event_data": told,
        }
        began = time.monotonic()
        try:
            answers = self._at_once(body) if found["queue"] is False else self._in_turn(body)
            for data in answers:
                for id, value in zip(found["outputs"], data, strict=True):
                    self._take(id, value)
        except (httpx.HTTPError, Told) as error:
            return Answered(time.monotonic() - began, str(error) or type(error).__name__)
        return Answered(time.monotonic() - began, "")

    def _at_once(self, body: dict[str, Any]) -> Iterator[list[Any]]:
        answer = self._client.post("/gradio_api/run/predict", json=body)
        if not answer.is_success:
            raise Told(answer.text)
        yield answer.json()["data"]

    def _in_turn(self, body: dict[str, Any]) -> Iterator[list[Any]]:
        """The whole values after each message of the queue."""
        joined = self._client.post("/gradio_api/queue/join", params={"__theme": "light"}, json=body)
        if not joined.is_success:
            raise Told(joined.text)
        data: list[Any] | None = None
        with self._client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self._session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("event_id") != joined.json()["event_id"]:
                    continue
                kind, output = message["msg"], message.get("output") or {}
                if message.get("success") is False:
                    raise Told(str(output.get("error")))
                if kind == "process_generating":
                    steps = output["data"]
                    data = steps if data is None else [apply_diff(*pair) for pair in zip(data, steps, strict=True)]
                    yield data
                elif kind == "process_completed":
                    yield output["data"]
                    return
        raise Told("the stream ended without an answer")

    def _take(self, id: int, value: Any) -> None:
        """Draw an answer: a value, or some properties of a widget."""
        if isinstance(value, dict) and value.get("__type__") == "update":
            own = {**self._props[id].get("props", {}), **value.get("props", {})}
            self._props[id] |= {**value, "props": own}
        else:
            self._props[id]["value"] = value


class Told(Exception):
    """A person would see an error."""
