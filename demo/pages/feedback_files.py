"""Files of feedback over HTTP: GET `/feedback/file` to take along, POST to import. In Chinese the same under `/zh`.

Routes of our own, because Gradio would keep a copy of every file in a folder that nobody empties. Who asks is found out
here as on the pages; the gate in front of the site has checked that the request comes from a page of ours.
"""

from typing import Any

import gradio as gr
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from demo.catalogue import LANGUAGES, Language, Words
from demo.feedback_room import LARGEST_IMPORT, FeedbackRoom, Visitor
from demo.identity import Visitors
from demo.pages.common import is_owner, sentence_of
from demo.pages.feedback_wanted import wanted_of
from nightschool.errors import BadInput, NightSchoolError
from nightschool.examples import TrainerFormat
from nightschool.trainer_files import ENDINGS

PATH = "/feedback/file"
THE_LIST = "list"
TYPES = {".jsonl": "application/jsonl", ".parquet": "application/vnd.apache.parquet"}
LONGEST_NAME = 100


def feedback_file_routes(room: FeedbackRoom, visitors: Visitors) -> APIRouter:
    """Both routes, in each language."""
    router = APIRouter()
    for language in LANGUAGES:
        prefix = "" if language == LANGUAGES[0] else f"/{language}"
        files = _Files(room, visitors, language)
        router.add_api_route(f"{prefix}{PATH}", files.give, methods=["GET"])
        router.add_api_route(f"{prefix}{PATH}", files.take, methods=["POST"])
    return router


class _Files:
    """The handlers of one language."""

    def __init__(self, room: FeedbackRoom, visitors: Visitors, language: Language) -> None:
        self._room = room
        self._visitors = visitors
        self._words = Words(language)

    def give(self, request: Request) -> Response:
        """The file that is asked for, or a sentence."""
        visitor = self._visitor(request)
        if visitor is None:
            return self._unknown()
        asked = request.query_params
        shape, ending = asked.get("format", THE_LIST), asked.get("ending", ENDINGS[0])
        try:
            content = self._content(visitor, shape, ending, asked.get("wanted", "{}"))
        except NightSchoolError as error:
            return self._told(error)
        name = f"nightschool-{shape}{ending}"
        saved_as = "; ".join(["attachment", f'filename="{name}"'])
        headers = {"Content-Disposition": saved_as, "Cache-Control": "no-store"}
        return Response(content, media_type=TYPES[ending], headers=headers)

    async def take(self, request: Request) -> Response:
        """Import the body; says how much was new, or what is wrong with it."""
        visitor = self._visitor(request)
        if visitor is None:
            return self._unknown()
        if "origin" not in request.headers:  # a foreign one was refused by the gate; a browser always names it here
            return self._sentence(self._words("common.not_your_page"), 400)
        name = request.query_params.get("name", "")[:LONGEST_NAME] or THE_LIST
        try:
            content = await _body(request)
            found = await run_in_threadpool(self._room.take, visitor, name, content)
        except NightSchoolError as error:
            return self._told(error)
        return JSONResponse({"added": found.added, "known": found.known})

    def _content(self, visitor: Visitor, shape: str, ending: str, wanted: str) -> bytes:
        looked_at = wanted_of(wanted)
        if shape == THE_LIST:
            if ending != ENDINGS[0]:
                raise BadInput(f"There is no export of the kind {shape}{ending}; choose one that the page offers.")
            return self._room.listed(visitor, looked_at.scope, looked_at.filter)
        if shape not in {*TrainerFormat}:
            raise BadInput(f"There is no export of the kind {shape[:20]}; choose one that the page offers.")
        return self._room.examples(visitor, looked_at.scope, TrainerFormat(shape), ending)

    def _visitor(self, request: Request) -> Visitor | None:
        person_id = self._visitors.read(request.cookies)
        if person_id is None:
            return None
        return Visitor(person_id, is_owner(self._visitors, gr.Request(request)))

    def _told(self, error: NightSchoolError) -> Response:
        return self._sentence(sentence_of(error, self._words), 400)

    def _unknown(self) -> Response:
        return self._sentence(self._words("common.unknown_visitor"), 403)

    def _sentence(self, text: str, status: int) -> Response:
        said: dict[str, Any] = {"sentence": text}
        return JSONResponse(said, status, headers={"Cache-Control": "no-store"})


async def _body(request: Request) -> bytes:
    """The body, read only as far as an import may go: the room refuses a longer one."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > LARGEST_IMPORT:
            break
    return b"".join(parts)
