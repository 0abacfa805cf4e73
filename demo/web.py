"""The HTTP side: who may send what, and what every answer carries.

- A page gives its visitor a signed, HttpOnly, SameSite=Lax cookie; events never hand out identities.
- A request that a page of another site makes is refused: Gradio by itself would mirror any Origin.
- The content security policy keeps the browser from loading anything from other hosts, also pictures that a model's
  Markdown names.
"""

import warnings
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.app import ASSETS, THEME, build_pages
from demo.catalogue import Words
from demo.classroom import Classroom
from demo.explanations import Explanations
from demo.feedback_room import FeedbackRoom
from demo.identity import COOKIE, Visitors
from demo.nights import Nights
from demo.pages.feedback_files import feedback_file_routes
from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook

YEAR = 365 * 24 * 3600
PAGES = frozenset({"/", "/school", "/school/", "/feedback", "/feedback/"})
SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    *,
    classroom: Classroom,
    nights: Nights,
    explanations: Explanations,
    book: NightBook,
    store: FeedbackStore,
    visitors: Visitors,
    model_name: str,
    is_small: bool,
    effort: str,
    feedback_room: FeedbackRoom,
) -> FastAPI:
    """The whole site: health check, pages, and the gate in front of both."""
    app = FastAPI(title="NightSchool", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    def healthz() -> dict[str, object]:
        return {"ok": True, "champion": classroom.champion().id, "model": model_name}

    model_line = f"{model_name}, a small English model" if is_small else model_name
    pages = build_pages(
        classroom=classroom,
        nights=nights,
        explanations=explanations,
        book=book,
        store=store,
        visitors=visitors,
        model_line=model_line,
        effort=effort,
        feedback_room=feedback_room,
        words=Words("en"),
    )
    app.include_router(feedback_file_routes(feedback_room, visitors))
    app = mount(app, pages)
    app.add_middleware(Gate, visitors=visitors)
    return app


def mount(app: FastAPI, pages: gr.Blocks) -> FastAPI:
    """Put the pages at `/`, with everything switched off that would store or fetch things elsewhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SSR mode is not supported with multi-page apps")
        return gr.mount_gradio_app(
            app,
            pages,
            path="/",
            theme=THEME,
            css_paths=[ASSETS / "look.css", ASSETS / "feedback.css"],
            js=(ASSETS / "keys.js").read_text(encoding="utf-8"),
            head=f"<script>{(ASSETS / 'streams.js').read_text(encoding='utf-8')}</script>",
            favicon_path=str(ASSETS / "icon.svg"),
            run_history=False,
            footer_links=[],
            enable_monitoring=False,
            show_error=False,
            ssr_mode=False,
            max_file_size=1024,
        )


class Gate:
    """ASGI middleware: refuses foreign origins, adds the security headers, gives new visitors their cookie."""

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        new_cookie = self._cookie_for(scope, headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(SECURITY_HEADERS)
                if new_cookie is not None:
                    answer.append("Set-Cookie", new_cookie)
            await send(message)

        if is_foreign(headers):
            refusal = PlainTextResponse("This request came from a page of another site and was refused.", 403)
            await refusal(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _cookie_for(self, scope: Scope, headers: Headers) -> str | None:
        """The Set-Cookie value for a visitor who opens a page without a valid cookie."""
        if scope["method"] != "GET" or scope["path"] not in PAGES or is_foreign(headers):
            return None
        if self._visitors.read(HTTPConnection(scope).cookies) is not None:
            return None
        secure = "; Secure" if scope["scheme"] == "https" else ""
        return f"{COOKIE}={self._visitors.issue()}; Max-Age={YEAR}; Path=/; HttpOnly; SameSite=Lax{secure}"


def is_foreign(headers: Headers) -> bool:
    """Whether a script or form of another site made the request. Opening a link from elsewhere is not foreign."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def secret_path(db: Path) -> Path:
    """Where the cookie secret of a database lies."""
    return db.with_name(f"{db.name}.secret")
