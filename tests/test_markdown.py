"""Markdown of an answer as HTML: what it shows, and what it never lets through."""

import re
import time
from html.parser import HTMLParser

import pytest

from demo.markdown import LONGEST_COLOURED, to_html
from tests.payloads import PAYLOADS

HARMLESS = {
    "p", "br", "em", "strong", "s", "code", "pre", "div", "span", "a", "ul", "ol", "li", "blockquote", "hr", "h1", "h2",
    "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
HARMLESS_ATTRIBUTES = {"class", "href", "title", "target", "rel", "tabindex", "start", "style"}


class Elements(HTMLParser):
    """Tags and attributes of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_an_element_that_could_run_or_load(payload: str) -> None:
    for tag, attributes in Elements(to_html(payload)).found:
        assert tag in HARMLESS
        assert set(attributes) <= HARMLESS_ATTRIBUTES
        assert re.match(r"(https?:|mailto:|#|$)", attributes.get("href") or ""), attributes
        assert re.fullmatch(r"(text-align:\w+)?", attributes.get("style") or "")


def test_code_is_coloured_in_its_language_and_plain_in_an_unknown_one() -> None:
    assert '<span class="hl-k">def</span>' in to_html("```python\ndef f(): pass\n```")
    assert '<span class="hl' not in to_html("```klingon\ndef f(): pass\n```")
    assert '<span class="hl' not in to_html("```python\n" + "x = 1\n" * LONGEST_COLOURED + "```")
    assert "<span>python</span>" in to_html("```python\nx\n```")


def test_code_that_is_still_being_written_is_code_already() -> None:
    assert "<pre" in to_html("Look:\n\n```python\ndef f(")


def test_lists_tables_and_line_breaks_look_as_written() -> None:
    shown = to_html("one\ntwo\n\n- a\n- b\n\n| x |\n|---|\n| 1 |\n\n~~gone~~ **strong**")
    for part in ("one<br />\ntwo", "<li>a</li>", "<td>1</td>", "<s>gone</s>", "<strong>strong</strong>"):
        assert part in shown


def test_a_link_opens_beside_the_chat_and_says_nothing_about_it() -> None:
    assert 'target="_blank" rel="noopener noreferrer nofollow"' in to_html("[x](https://example.org)")


@pytest.mark.parametrize("piece", ["[", "*a ", "`", "> ", "![[", "- ", "<", "**", "[a](<b", "_a__b", "|a"])
def test_no_text_of_sixteen_thousand_letters_takes_long(piece: str) -> None:
    started = time.process_time()
    to_html(piece * (16_000 // len(piece)))
    assert time.process_time() - started < 5
