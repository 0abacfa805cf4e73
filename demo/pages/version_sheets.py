"""What the Versions page shows above itself, as HTML text: a question before something is done, and receipts."""

import html

from demo.catalogue import Words
from demo.pages.versions_view import button, when
from demo.receipt_desk import Check, ReceiptPage, ReceiptRow
from demo.translation import translated
from demo.version_room import Album
from demo.version_states import State
from nightschool.records import Figures

LONGEST_TEXT = 140
"""Letters of a reply that are shown to tell which one it was."""
ASKS = ("promote", "rollback", "confirm", "takeback")
"""What is done only after a second click; `do-` and its name does it."""


def question(act: str, version: str, album: Album, words: Words) -> str:
    """Whether to do it, and what will be then."""
    champion, rival = album.champion.id, album.watched.probation.rival_id if album.watched else ""
    told = [words(f"versions.ask_{act}", version=version, champion=champion, rival=rival)]
    standing = album.standings.get(version)
    if act in {"promote", "rollback"}:
        if album.watched is not None:
            told.append(words("versions.ask_ends_probation", version=album.watched.probation.version_id))
        if standing is not None and standing.state in {State.REJECTED, State.QUARANTINED}:
            told.append(words(f"versions.ask_{standing.state}"))
        elif album.was_held(version):
            told.append(words("versions.ask_held"))
    if act != "takeback":
        told.append(words("versions.ask_undone"))
    kind = "stop" if act == "takeback" else "primary"
    is_forward = act == "rollback" and album.is_later(version)
    label, title = ("let_again", "title_again") if is_forward else (f"yes_{act}", f"title_{act}")
    yes = button(f"do-{act}", version, _text(words, label, version=version), kind)
    body = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in told)
    return _sheet(_text(words, title, version=version), body, f"{yes}{_close(words, 'no')}")


def receipts(
    version: str, found: ReceiptPage, figures: Figures | None, words: Words, *, check: Check | str | None = None
) -> str:
    """The receipts of a version: counts, hash, the check (its outcome, or a line while it is at work), and a page."""
    total = sum(found.counts.values())
    counts = "".join(
        f'<div class="tile"><b>{count}</b><span>{_kind(kind, words)}</span></div>'
        for kind, count in found.counts.items()
    )
    became = ""
    if figures is not None and figures.pairs is not None and figures.thumbs is not None:
        became = f'<p class="quiet">{_text(words, "became", pairs=figures.pairs, thumbs=figures.thumbs)}</p>'
    body = (
        f'<p>{_text(words, "receipts_told", version=version, count=total)}</p><div class="tiles">{counts}</div>{became}'
        + _hash(version, figures, check, words)
        + _list(version, found, words)
    )
    return _sheet(_text(words, "title_receipts", version=version), body, _close(words, "close"))


def _hash(version: str, figures: Figures | None, check: Check | str | None, words: Words) -> str:
    recorded = figures.training_set if figures is not None else None
    shown = f"<code>{html.escape(recorded)}</code>" if recorded else f"<span>{_text(words, 'no_hash')}</span>"
    if isinstance(check, str):
        outcome = f'<p class="checked" role="status">{html.escape(check)}</p>'
    elif check is None:
        outcome = ""
    elif check.is_same:
        outcome = f'<p class="checked same" role="status">{_text(words, "check_same")}</p>'
    else:
        complaint = html.escape(translated(check.complaint, words))
        outcome = f'<p class="checked differs" role="status">{complaint}</p>'
    ask = button("check", version, _text(words, "check"), "secondary", enabled=not isinstance(check, str))
    return f'<div class="hash"><div><span>{_text(words, "hash")}</span>{shown}</div>{ask}</div>{outcome}'


def _list(version: str, found: ReceiptPage, words: Words) -> str:
    rows = "".join(_row(row, words) for row in found.rows)
    turns = ""
    if found.pages > 1:
        before = button("receipts", version, _text(words, "page_before"), "secondary", page=found.page - 1,
                        enabled=found.page > 0)  # fmt: skip
        after = button("receipts", version, _text(words, "page_after"), "secondary", page=found.page + 1,
                       enabled=found.page + 1 < found.pages)  # fmt: skip
        place = _text(words, "page_of", page=found.page + 1, pages=found.pages)
        turns = f'<nav class="pager">{before}<span>{place}</span>{after}</nav>'
    return f'<ul class="receipts">{rows}</ul>{turns}' if rows else ""


def _row(row: ReceiptRow, words: Words) -> str:
    label = _text(words, f"outcome_{row.kind}_{row.outcome}") if row.outcome else _kind(row.kind, words)
    if row.is_deleted:
        text = f'<span class="taint">{_text(words, "receipt_deleted")}</span>'
    else:
        text = f'<span class="users-own">{html.escape(_begun(row.text))}</span>'
    moment = f"<time>{when(row.judged_at, words)}</time>" if row.judged_at else ""
    return f"<li><div><b>{label}</b>{moment}<code>{html.escape(row.id)}</code></div>{text}</li>"


def _kind(kind: str, words: Words) -> str:
    key = f"versions.kind_{kind}"
    return html.escape(words(key) if words.knows(key) else kind)


def _begun(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1].rstrip() + "…"


def _sheet(title: str, body: str, buttons: str) -> str:
    return f'<h2 id="sheet-title">{title}</h2><div class="sheet-body">{body}</div><div class="acts">{buttons}</div>'


def _close(words: Words, name: str) -> str:
    return f'<button type="button" class="secondary" data-close>{_text(words, name)}</button>'


def _text(words: Words, key: str, **values: object) -> str:
    return html.escape(words(f"versions.{key}", **values))
