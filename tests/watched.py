"""A page of a browser test that must not break a script, nor ask anything of another host."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

PATIENCE = 20_000
"""Milliseconds: the machine may be busy, and what is slow is not broken."""
expect.set_options(timeout=PATIENCE)

RECORD_ANSWERS = """
  window.answers = [];
  const plain = window.fetch;
  const record = async (reader, decoder) => {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      window.answers.push(decoder.decode(step.value, { stream: true }));
    }
  };
  window.fetch = async (...call) => {
    const answer = await plain(...call);
    if (answer.body) record(answer.clone().body.getReader(), new TextDecoder()).catch(() => window.answers.push('cut'));
    return answer;
  };
"""
"""An init script: what the server answers to the page's scripts is kept in `window.answers`."""


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """Fails at the end if a script broke or anything was asked of another host."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda told: faults.append(told.text) if "js_on_load" in told.text else None)
    page.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else None
        ),
    )
    yield page
    if faults:
        pytest.fail("The page did what it must not: " + "; ".join(faults))
