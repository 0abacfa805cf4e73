"""What `choices.js` hands on of the page's event stream, in Chromium, with a stream that the test writes itself."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).parent.parent / "demo" / "assets" / "choices.js"
SITE = "http://site.test/gradio_api"
A_PAGE = """async () => {
  window.gradio_config = {
    components: [{ id: 7, props: { elem_id: 'conversation-id' } }],
    dependencies: [{ id: 3, outputs: [7, 8] }],
  };
  window.cancelled = [];
  window.fetch = async (url, given) => {
    if (url.endsWith('/cancel')) window.cancelled.push(JSON.parse(given.body).event_id);
    if (url.endsWith('/queue/join')) return new Response(JSON.stringify({ event_id: 'e1' }));
    if (!url.endsWith('/queue/data')) return new Response('{}');
    const start = (out) => {
      window.broken = () => out.error(new TypeError('network error'));
      window.say = (message) => out.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(message)}\\n\\n`));
    };
    return new Response(new ReadableStream({ start }));
  };
}"""
ASK = f"""async () => {{
  await window.fetch('{SITE}/queue/join', {{ body: JSON.stringify({{ fn_index: 3, session_hash: 's' }}) }});
}}"""
READ_ALONG = f"""async () => {{
  const reader = (await window.fetch('{SITE}/queue/data')).body.getReader();
  window.heard ??= [];
  const read = async () => {{
    for (let part = await reader.read(); !part.done; part = await reader.read())
      for (const line of new TextDecoder().decode(part.value).split('\\n\\n').filter(Boolean))
        window.heard.push(JSON.parse(line.slice(5)));
  }};
  window.fate = read().catch((fault) => fault.message);
}}"""
KINDS = ("process_starts", "process_generating", "process_completed")


@pytest.fixture
def stream(page: Page) -> Page:
    """A page whose event e1 draws the conversation and is at work."""
    page.goto("about:blank")
    page.evaluate(A_PAGE)
    # A blank page has no address to resolve paths against; all of these are whole.
    page.add_script_tag(content=SCRIPT.read_text(encoding="utf-8"))
    page.evaluate(ASK)
    page.evaluate(READ_ALONG)
    return page


def say(page: Page, *kinds: str) -> list[dict[str, Any]]:
    """The server says these of e1; what came through so far."""
    for kind in kinds:
        page.evaluate("(msg) => window.say({ msg, event_id: 'e1', output: { data: ['drawn', 'drawn'] } })", kind)
    page.wait_for_timeout(100)
    return list(page.evaluate("window.heard"))


def test_an_event_that_is_not_late_comes_through_as_it_is(stream: Page) -> None:
    heard = say(stream, *KINDS)
    assert [message["msg"] for message in heard] == list(KINDS)
    assert all(message["output"]["data"] == ["drawn", "drawn"] for message in heard)


def test_a_late_event_draws_nothing_and_ends_when_the_server_ends_it(stream: Page) -> None:
    """Not before: the client would close the stream, and Gradio drops all events of a page that hangs up."""
    stream.evaluate("window.dispatchEvent(new Event('nightschool:asked'))")
    heard = say(stream, "process_starts", "process_generating")
    assert [message["msg"] for message in heard] == ["process_starts"]
    heard = say(stream, "process_completed")
    assert [message["msg"] for message in heard] == ["process_starts", "process_completed"]
    assert heard[-1]["output"]["data"] == [{"__type__": "update"}] * 2
    assert stream.evaluate("window.cancelled") == []


def test_what_is_written_when_another_conversation_is_chosen_ends_at_once_and_is_stopped(stream: Page) -> None:
    stream.evaluate("window.dispatchEvent(new Event('nightschool:chosen'))")
    heard = say(stream, "process_generating", "process_completed")
    assert [message["msg"] for message in heard] == ["process_completed"]
    assert heard[0]["output"]["data"] == [{"__type__": "update"}] * 2
    assert stream.evaluate("window.cancelled") == ["e1"]


def test_a_choice_after_the_stream_broke_breaks_nothing_and_the_event_ends_in_the_next_stream(stream: Page) -> None:
    faults: list[str] = []
    stream.on("pageerror", lambda fault: faults.append(str(fault)))
    stream.evaluate("window.broken()")
    assert stream.evaluate("window.fate") == "network error"  # who reads is told
    stream.evaluate("window.dispatchEvent(new Event('nightschool:chosen'))")
    assert stream.evaluate("window.cancelled") == ["e1"]
    stream.evaluate(READ_ALONG)
    heard = say(stream, "process_generating", "process_completed")
    assert [message["msg"] for message in heard] == ["process_completed"]
    assert heard[0]["output"]["data"] == [{"__type__": "update"}] * 2
    assert faults == []
