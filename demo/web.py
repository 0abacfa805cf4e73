"""The site: the pages of each language, the log-in, the health check, and the gate in front of them all."""

import warnings
from collections.abc import Collection
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse

from demo.app import ASSETS, THEME, build_pages
from demo.attempts import Attempts
from demo.catalogue import LANGUAGES, Words
from demo.classroom import Classroom
from demo.explanations import Explanations
from demo.feedback_room import FeedbackRoom
from demo.gate import Gate
from demo.gradio_words import gradio_words
from demo.identity import Visitors
from demo.languages import PREFIX
from demo.login import login_routes
from demo.nights import Nights
from demo.outlook import Outlook
from demo.pages.feedback_files import feedback_file_routes
from demo.rank_room import RankRoom
from demo.version_room import VersionRoom
from nightschool.registry import NightBook

SCRIPTS = ("choices.js", "streams.js", "gradio_words.js")
STYLES = (
    "look.css",
    "header.css",
    "chat.css",
    "rank.css",
    "feedback.css",
    "school.css",
    "versions.css",
    "coevolution.css",
)
OWN_NAMES = frozenset({"localhost"})


def create_app(
    *,
    classroom: Classroom,
    nights: Nights,
    outlook: Outlook,
    explanations: Explanations,
    book: NightBook,
    visitors: Visitors,
    model_name: str,
    is_small: bool,
    effort: str,
    rank_room: RankRoom,
    feedback_room: FeedbackRoom,
    version_room: VersionRoom,
    host_names: Collection[str] = (),
) -> FastAPI:
    """The whole site."""
    app = FastAPI(title="NightSchool", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    def healthz() -> dict[str, object]:
        return {"ok": True, "champion": classroom.champion().id, "model": model_name}

    app.include_router(login_routes(visitors, Attempts()))
    app.include_router(feedback_file_routes(feedback_room, visitors))
    for language in reversed(LANGUAGES):  # the first one lies at "/", which would swallow the others
        words = Words(language)
        pages = build_pages(
            classroom=classroom,
            nights=nights,
            outlook=outlook,
            explanations=explanations,
            book=book,
            visitors=visitors,
            model_line=words("common.small_model", model=model_name) if is_small else model_name,
            effort=effort,
            rank_room=rank_room,
            feedback_room=feedback_room,
            version_room=version_room,
            words=words,
        )
        app = mount(app, pages, words)
    app.add_middleware(Gate, visitors=visitors, host_names=OWN_NAMES | {name.lower() for name in host_names})
    return app


def mount(app: FastAPI, pages: gr.Blocks, words: Words) -> FastAPI:
    """Put the pages of a language in their place, with all switched off that would store or fetch things elsewhere."""
    prefix = PREFIX[words.language]
    if prefix:
        app.get(f"{prefix}/favicon.ico")(lambda: FileResponse(ASSETS / "icon.svg"))
        app.get(prefix)(lambda: RedirectResponse(f"{prefix}/", 303))
    told = [
        f"window.nightschoolGradioWords = {gradio_words(words)};",
        *((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SSR mode is not supported with multi-page apps")
        return gr.mount_gradio_app(
            app,
            pages,
            path=prefix or "/",
            theme=THEME,
            css_paths=[ASSETS / name for name in STYLES],
            js=(ASSETS / "keys.js").read_text(encoding="utf-8"),
            head="".join(f"<script>{script}</script>" for script in told),
            favicon_path=None if prefix else str(ASSETS / "icon.svg"),
            run_history=False,
            footer_links=[],
            enable_monitoring=False,
            show_error=False,
            ssr_mode=False,
            max_file_size=1024,
        )


def secret_path(db: Path) -> Path:
    """Where the cookie secret of a database lies."""
    return db.with_name(f"{db.name}.secret")
