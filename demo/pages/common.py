"""What all pages do alike: know the visitor, tell errors in one sentence of the page's language."""

import html
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from demo.accounts import Role
from demo.catalogue import Words
from demo.identity import Visitors
from demo.languages import language_of_path
from demo.translation import translated
from nightschool.errors import NightSchoolError

Updates = dict[Any, Any]
"""What a handler changes: {component: its new value or properties}; the others stay as they are."""


def person_of(visitors: Visitors, request: gr.Request) -> str:
    """The visitor's id from the signed cookie, or a sentence on the page."""
    person_id = visitors.read(request.cookies)
    if person_id is None:
        words = Words(language_of_path(urlsplit(str(request.url)).path)[0])
        raise gr.Error(words("common.unknown_visitor"), title=words("common.please_reload"), print_exception=False)
    return person_id


def is_owner(visitors: Visitors, request: gr.Request) -> bool:
    """Whether the visitor's account is an owner's; without accounts, whether they sit at the machine itself."""
    if visitors.accounts is not None:
        account = visitors.account(request.cookies)
        return account is not None and account.role is Role.OWNER
    if request.client is None or {"x-forwarded-for", "forwarded", "x-real-ip"} & {*request.headers}:
        return False  # passed on by a proxy, for somebody elsewhere
    name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    return _is_loopback(request.client.host) and (name == "localhost" or _is_loopback(name))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def told_in_words(words: Words) -> Iterator[None]:
    """Show an expected error as its sentence; anything else is a defect and stays one."""
    try:
        yield
    except NightSchoolError as error:
        sentence = html.escape(sentence_of(error, words))
        raise gr.Error(sentence, title=words("gradio.error"), print_exception=False) from error


def sentence_of(error: NightSchoolError, words: Words) -> str:
    """An error's sentence in the language of a page."""
    return translated(str(error), words)
