"""The gate in front of the whole site. In this order a request must

1. name this server as its host (a name that somebody else points here would otherwise let their page in),
2. come from a page of this site, unless it only opens a page,
3. ask for a path that there is, and that this visitor may open,
4. use no Gradio session or event of somebody else.

Pages are sent in the visitor's language, with a cookie where one is needed; every answer has the security headers.
"""

import ipaddress
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import languages
from demo.bindings import Bindings
from demo.catalogue import Language, Words
from demo.doors import Door, door_of
from demo.event_requests import EventRequest, is_event_path
from demo.identity import COOKIE, Visitors
from demo.page_html import PageHtml

SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    # Nothing to other sites; "no-referrer" would also blank the Origin of our own forms.
    "Referrer-Policy": "same-origin",
}


class Gate:
    """ASGI middleware around the site."""

    def __init__(self, app: ASGIApp, visitors: Visitors, host_names: frozenset[str]) -> None:
        self._app = app
        self._visitors = visitors
        self._host_names = host_names
        self._bindings = Bindings()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cookies: list[str] = []

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(SECURITY_HEADERS)
                for cookie in cookies:
                    answer.append("Set-Cookie", cookie)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(headers, Words(languages.language_of_path(scope["path"])[0]))
        if refusal is None:
            await self._let_in(scope, receive, send_with_headers, cookies)
        else:
            await refusal(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, words: Words) -> Response | None:
        if not is_known_host(headers.get("host", ""), self._host_names):
            return PlainTextResponse(words("common.unknown_host"), 421)
        if is_foreign(headers):
            return PlainTextResponse(words("common.foreign"), 403)
        return None

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, cookies: list[str]) -> None:
        language, path = languages.language_of_path(scope["path"])
        door = door_of(path)
        person_id = self._visitors.read(HTTPConnection(scope).cookies) if door in {Door.PAGE, Door.PEOPLE} else None
        if door is Door.CLOSED:
            await PlainTextResponse(Words(language)("common.nothing_here"), 404)(scope, receive, send)
        elif door is Door.PAGE:
            await self._page(Request(scope, receive), send, path, person_id, cookies)
        elif door is Door.PEOPLE and person_id is None and self._visitors.accounts is not None:
            sentence = Words(language)("common.logged_out")
            await PlainTextResponse(sentence, 401)(scope, receive, send)
        elif is_event_path(path):
            event = EventRequest(self._app, self._bindings, person_id, Words(language))
            await event(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _page(self, request: Request, send: Send, path: str, person_id: str | None, cookies: list[str]) -> None:
        """A page: first the visitor's language, then who they are, then the page itself."""
        language, _ = languages.language_of_path(request.scope["path"])
        secure = "; Secure" if request.scope["scheme"] == "https" else ""
        kept = f"Path=/; SameSite=Lax; Max-Age={languages.COOKIE_SECONDS}{secure}"
        chosen = languages.language_named(request.query_params.get("language"))
        if chosen is not None:
            cookies.append(f"{languages.COOKIE}={chosen}; {kept}")
            answer: ASGIApp = _redirect(languages.PREFIX[chosen] + path)
        elif language == "en" and _wanted(request) != "en":
            answer = _redirect(languages.PREFIX[_wanted(request)] + path + _query(request))
        elif person_id is None and self._visitors.accounts is not None:
            answer = _redirect(f"/login?next={quote(request.scope['path'])}")
        else:
            answer = PageHtml(self._app, language)
            if person_id is None:
                cookies.append(f"{COOKIE}={self._visitors.issue()}; {kept}; HttpOnly")
        await answer(request.scope, request.receive, send)


def is_known_host(header: str, names: frozenset[str]) -> bool:
    """Whether a Host header means this server. An address always does: nobody can point an address elsewhere."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def is_foreign(headers: Headers) -> bool:
    """Whether a script or form of another site made the request. Opening a link from elsewhere is not foreign."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc != headers.get("host")
    site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
    return site in {"cross-site", "same-site"} and mode != "navigate"


def _wanted(request: Request) -> Language:
    return languages.wanted_language(request.cookies, request.headers.get("accept-language", ""))


def _query(request: Request) -> str:
    given = request.scope["query_string"].decode("latin-1")
    return f"?{given}" if given else ""


def _redirect(target: str) -> Response:
    headers = {"Vary": "Accept-Language, Cookie", "Cache-Control": "no-store"}
    return RedirectResponse(target, 303, headers=headers)
