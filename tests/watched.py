"""A page of a browser test that must not break a script, nor ask anything of another host."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

PATIENCE = 20_000
"""Milliseconds: the machine may be busy, and what is slow is not broken."""
expect.set_options(timeout=PATIENCE)


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """Fails at the end if a script broke or anything was asked of another host."""
    faults: list[str] = []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else None
        ),
    )
    yield page
    assert faults == []
