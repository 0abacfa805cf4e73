"""Logging in and out: a page of our own that needs no script, and the cookie that a right password earns."""

from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from demo import languages
from demo.accounts import LONGEST_NAME
from demo.attempts import Attempts
from demo.catalogue import LANGUAGES, Language, Words
from demo.doors import Door, door_of
from demo.identity import SESSION, SESSION_SECONDS, Visitors
from demo.translation import translated
from nightschool.errors import StoreError

LARGEST_FORM = 8_000


def login_routes(visitors: Visitors, attempts: Attempts) -> APIRouter:
    """`/login` in each language, and `/logout`. The gate has checked the Origin; here a form must bring one."""
    router = APIRouter()

    def show(request: Request) -> Response:
        language, path = languages.language_of_path(request.url.path)
        target = next_page(request.query_params.get("next", ""), language)
        if visitors.accounts is None or visitors.read(request.cookies) is not None:
            return RedirectResponse(target, 303)
        chosen = languages.language_named(request.query_params.get("language"))
        wanted = chosen or languages.wanted_language(request.cookies, request.headers.get("accept-language", ""))
        if chosen is None and (language != "en" or wanted == "en"):
            return _form(language, target)
        answer = RedirectResponse(f"{languages.PREFIX[wanted]}{path}?next={quote(target)}", 303)
        if chosen is not None:
            answer.set_cookie(languages.COOKIE, chosen, languages.COOKIE_SECONDS, samesite="lax")
        return answer

    async def enter(request: Request) -> Response:
        language, _ = languages.language_of_path(request.url.path)
        words = Words(language)
        if visitors.accounts is None or "origin" not in request.headers:
            return PlainTextResponse(words("common.not_your_page"), 403)
        form = await _form_of(request)
        name, target = form.get("name", "")[:LONGEST_NAME], next_page(form.get("next", ""), language)
        address = request.client.host if request.client else ""
        wait = attempts.take(name, address)
        if wait:
            sentence = words("login.too_often", seconds=round(wait) + 1)
            return _form(language, target, name, sentence, 429, {"Retry-After": str(round(wait) + 1)})
        try:
            session = await run_in_threadpool(visitors.log_in, name, form.get("password", ""))
        except StoreError:
            return _form(language, target, name, words("login.unreadable"), 503)
        if session is None:
            return _form(language, target, name, words("login.wrong"), 401)
        attempts.forgive(name, address)
        answer = RedirectResponse(target, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(SESSION, session, SESSION_SECONDS, httponly=True, samesite="lax", secure=secure)
        return answer

    def leave(request: Request) -> Response:
        language, _ = languages.language_of_path(request.url.path)
        if "origin" not in request.headers:
            return PlainTextResponse(Words(language)("common.not_your_page"), 403)
        answer: Response = RedirectResponse(f"{languages.PREFIX[language]}/login", 303)
        try:
            visitors.log_out(request.cookies)
        except StoreError as error:
            answer = PlainTextResponse(translated(str(error), Words(language)), 503)
        answer.delete_cookie(SESSION, httponly=True, samesite="lax")
        return answer

    for prefix in languages.PREFIX.values():
        router.add_api_route(f"{prefix}/login", show, methods=["GET"], response_class=HTMLResponse)
        router.add_api_route(f"{prefix}/login", enter, methods=["POST"])
        router.add_api_route(f"{prefix}/logout", leave, methods=["POST"])
    return router


async def _form_of(request: Request) -> dict[str, str]:
    """The fields of a form, read only as far as ours may go."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def next_page(path: str, language: Language) -> str:
    """Where a log-in leads: the page that was asked for, in the language of the log-in, and never to another site."""
    page = languages.language_of_path(path)[1]
    return languages.PREFIX[language] + (page if door_of(page) is Door.PAGE else "/")


def _form(
    language: Language,
    target: str,
    name: str = "",
    sentence: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    words = Words(language)
    switch = [
        (languages.HTML_LANG[other], words(f"common.language_{other}"), f"?language={other}&next={quote(target)}")
        for other in LANGUAGES
    ]
    shown: dict[str, Any] = {"words": words, "html_lang": languages.HTML_LANG[language], "switch": switch}
    page = _template().render(**shown, next=target, name=name, sentence=sentence)
    return HTMLResponse(page, status, {"Cache-Control": "no-store", **(headers or {})})


@cache
def _template() -> Template:
    loader = PackageLoader("demo", "assets")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("login.html")
