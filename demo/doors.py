"""Every path of the site and who may open it. What is not listed is closed: Gradio brings more routes than we use."""

import re
from enum import StrEnum

PAGES = {"chat": "/", "rank": "/rank", "feedback": "/feedback", "school": "/school", "versions": "/versions"}
"""Name -> path of each page, in the order of the navigation; in Chinese the same under `/zh`."""


class Door(StrEnum):
    """Who may pass."""

    OPEN = "open"  # everybody: nothing of anybody is behind it
    PAGE = "page"  # people; a browser without a session is sent to the log-in
    PEOPLE = "people"  # people; anybody else is refused
    CLOSED = "closed"  # nobody


_OPEN = re.compile(
    r"/healthz|/login|/logout|/favicon\.ico|/robots\.txt|(/gradio_api)?/theme\.css|/(assets|static|svelte)/.+"
)
_PEOPLE = re.compile(
    r"/config/?|/feedback/file"
    r"|/gradio_api/(info|openapi\.json|app_id|login_check|reset|cancel|queue/(join|data|status))/?"
    r"|/gradio_api/(run|api|call)/.+"
    r"|/gradio_api/heartbeat/.+"
)
_PAGES = {path for page in PAGES.values() for path in (page, f"{page.rstrip('/')}/")}


def door_of(path: str) -> Door:
    """Who may open a path (without its language)."""
    if path in _PAGES:
        return Door.PAGE
    if _OPEN.fullmatch(path):
        return Door.OPEN
    return Door.PEOPLE if _PEOPLE.fullmatch(path) else Door.CLOSED
