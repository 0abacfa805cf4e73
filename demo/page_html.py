"""The frame in which Gradio sends a page: told its language, and without advertisements for Gradio in its head.

The script that tells it must run before Gradio's own; what Gradio is given as `head` runs after them.
"""

import re
from functools import cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.app_assets import script
from demo.catalogue import Language
from demo.languages import HTML_LANG

_ADVERTISEMENTS = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*')


class PageHtml:
    """ASGI: one page, as a whole."""

    def __init__(self, app: ASGIApp, language: Language) -> None:
        self._app = app
        self._language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        MutableHeaders(scope=scope)["accept-encoding"] = "identity"
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                whole = self._changed(bytes(body)) if start["status"] == 200 and body else bytes(body)
                headers = MutableHeaders(scope=start)
                if body:
                    headers["content-length"] = str(len(whole))
                headers["cache-control"] = "no-cache"
                await send(start)
                await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, collect)

    def _changed(self, page: bytes) -> bytes:
        head, config, rest = page.partition(b"window.gradio_config")
        head = head.replace(b'lang="en"', f'lang="{HTML_LANG[self._language]}"'.encode(), 1)
        head = head.replace(b"<script", _script(self._language) + b"<script", 1)
        return _ADVERTISEMENTS.sub(b"", head) + config + rest


@cache
def _script(language: Language) -> bytes:
    told = f"window.nightschoolLanguage = '{HTML_LANG[language]}';"
    return f"<script>{told}\n{script('session.js')}</script>".encode()
