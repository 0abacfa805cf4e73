"""Requests that start, hear or stop a Gradio event: let through only with ids that are not somebody else's.

The ids stand in the body, the query or the path; the id of a new event stands in the answer.
"""

import json
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.bindings import Bindings
from demo.catalogue import Words

LARGEST_BODY = 4_000_000
"""Bytes of one event: the newest forty messages of a conversation and much more."""
_STARTS = ("/gradio_api/queue/join", "/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/")
_OTHERS = ("/gradio_api/queue/data", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/heartbeat/")


def is_event_path(path: str) -> bool:
    """Whether a path (without its language) starts, hears or stops events."""
    return path.startswith(_STARTS + _OTHERS)


class TooLarge(Exception):
    """The body is larger than any event of a page."""


class EventRequest:
    """ASGI: one such request of one person."""

    def __init__(self, app: ASGIApp, bindings: Bindings, person_id: str | None, words: Words) -> None:
        self._app = app
        self._bindings = bindings
        self._person_id = person_id
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _body(receive) if scope["method"] == "POST" else b""
        except TooLarge:
            await PlainTextResponse(self._words("common.too_large"), 413)(scope, receive, send)
            return
        keys = _keys(Request(scope), body)
        if any(self._bindings.is_foreign(key, self._person_id) for key in keys):
            await PlainTextResponse(self._words("common.not_your_page"), 403)(scope, receive, send)
            return
        if self._person_id is not None:
            for key in keys:
                self._bindings.claim(key, self._person_id)
        MutableHeaders(scope=scope)["accept-encoding"] = "identity"  # so that the new event's id can be read
        await self._app(scope, _again(body, receive), self._noting(send) if scope["method"] == "POST" else send)

    def _noting(self, send: Send) -> Send:
        """Pass the answer on, and note whose the event is that it names."""
        seen = bytearray()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.body" and self._person_id is not None and len(seen) < 1000:
                seen.extend(message.get("body", b""))
                if not message.get("more_body") and len(seen) < 1000:
                    for event_id in _named(_json(bytes(seen)), "event_id"):
                        self._bindings.claim(event_id, self._person_id)
            await send(message)

        return send_and_note


async def _body(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body.extend(message.get("body", b""))
        if len(body) > LARGEST_BODY:
            raise TooLarge
        more = message["type"] == "http.request" and message.get("more_body", False)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, then whatever comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


def _keys(request: Request, body: bytes) -> list[str]:
    """Every session and event id that a request names."""
    given = _json(body)
    keys = _named(given, "session_hash") + _named(given, "event_id")
    keys += request.query_params.getlist("session_hash")
    parts = request.scope["path"].rstrip("/").split("/")
    if request.method == "GET" and ("heartbeat" in parts or "call" in parts):
        keys.append(parts[-1])
    return keys


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None  # not from our pages; Gradio refuses it


def _named(given: Any, name: str) -> list[str]:
    value = given.get(name) if isinstance(given, dict) else None
    return [value] if isinstance(value, str) else []
