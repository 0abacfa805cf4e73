"""What the chat page shows, as plain values: messages, duels, the list, lines of status. No event, no state."""

import html
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from demo.catalogue import Words
from demo.lessons import Draft, Scene
from demo.markdown import to_html
from nightschool.errors import BadInput
from nightschool.ids import new_id
from nightschool.records import (
    Conversation,
    Duel,
    DuelOutcome,
    Explanation,
    FoundConversation,
    ReplyStatus,
    Style,
    ThumbValue,
    Turn,
)

UPDATES_PER_SECOND = 12
"""Tokens are shown on a clock: more updates than these a person does not see."""

SKIP = "skip"
"""What the page calls the fifth way to end a duel, beside the outcomes."""

NOTES = {
    ReplyStatus.DONE: "chat.no_words",
    ReplyStatus.STOPPED: "chat.stopped_early",
    ReplyStatus.FAILED: "chat.failed",
}
"""What stands in place of a reply without a text."""


# ---- the conversation ----------------------------------------------------------------------------------------------


def nothing_yet() -> dict[str, Any]:
    """The conversation before the page knows its visitor."""
    return {"ready": False, "conversation": "", "turns": [], "duel": None, "dueling": False, "hidden": 0, "busy": False}


def talk(scene: Scene, words: Words, *, busy: bool = False, dueling: bool = False) -> dict[str, Any]:
    """The conversation as its widget draws it. `busy`: an answer is being written, `dueling`: two of them.

    No two values are equal: the widget draws what is new, and a failed action must draw what was there before.
    """
    duel: dict[str, Any] | None = None
    if scene.duel is not None:
        duel = duel_value(scene.duel)
    elif dueling:
        duel = {"id": "", "left": "", "right": "", "stopped": []}
    return {
        "ready": True,
        "drawn": new_id(),
        "read": scene.read,
        "conversation": scene.conversation_id,
        "turns": [turn_value(turn, words, last=turn is scene.turns[-1]) for turn in scene.turns],
        "duel": duel,
        "dueling": duel is not None,
        "hidden": scene.hidden,
        "busy": busy,
    }


def duel_value(duel: Duel) -> dict[str, Any]:
    """A duel as the widget draws it. A side that was stopped is marked: a vote on a fragment is given knowing it."""
    sides = {"left": duel.left, "right": duel.right}
    stopped = [side for side, reply in sides.items() if reply.status is ReplyStatus.STOPPED]
    return {"id": duel.id, **{side: to_html(reply.text) for side, reply in sides.items()}, "stopped": stopped}


def turn_value(turn: Turn, words: Words, *, last: bool = False) -> dict[str, Any]:
    """One message as the widget draws it; `text` is what it says, `html` how that looks."""
    place = turn.siblings.index(turn.id) if turn.id in turn.siblings else 0
    value: dict[str, Any] = {
        "id": turn.id,
        "role": turn.role,
        "text": turn.said,
        "place": place + 1,
        "places": turn.sibling_count,
        "earlier": turn.siblings[place - 1] if place else None,
        "later": turn.siblings[place + 1] if place + 1 < len(turn.siblings) else None,
        "last": last,
    }
    if turn.role == "user":
        return value
    writing = turn.status is ReplyStatus.STREAMING
    empty = not turn.said.strip() and turn.status in NOTES
    return value | {
        "html": to_html(turn.said),
        "original": to_html(turn.text) if turn.correction is not None else "",
        "corrected": turn.correction is not None,
        "note": words(NOTES[turn.status]) if empty and turn.status in NOTES else "",
        "writing": writing,
        "stopped": turn.status is ReplyStatus.STOPPED and bool(turn.text.strip()),
        "longest": turn.at_length_limit and bool(turn.text.strip()),
        **judgement(turn),
    }


def judgement(turn: Turn) -> dict[str, Any]:
    """The thumb of a reply, with its reasons and comment."""
    return {"thumb": turn.thumb, "reasons": list(turn.reasons), "comment": turn.comment}


def draft_value(turn_id: str, draft: Draft) -> dict[str, str]:
    """What is being written, between two drawings of the whole conversation."""
    if len(draft.texts) == 1:
        return {"id": turn_id, "html": to_html(draft.texts[0])}
    return {"id": "duel", "left": to_html(draft.texts[0]), "right": to_html(draft.texts[1])}


def at_pace(drafts: Iterable[Draft]) -> Generator[Draft, None, None]:
    """The drafts at most `UPDATES_PER_SECOND` times a second; the last one always."""
    shown_at, waiting = 0.0, None
    for draft in drafts:
        now = time.monotonic()
        if now - shown_at >= 1 / UPDATES_PER_SECOND:
            shown_at, waiting = now, None
            yield draft
        else:
            waiting = draft
    if waiting is not None:
        yield waiting


# ---- the list ------------------------------------------------------------------------------------------------------


def listed(conversations: Sequence[Conversation], current_id: str) -> dict[str, Any]:
    """The person's conversations as their widget draws them."""
    return {
        "ready": True,
        "drawn": new_id(),
        "current": current_id,
        "entries": [_entry(conversation) for conversation in conversations],
    }


def found(conversations: Sequence[FoundConversation], query: str) -> dict[str, Any]:
    """What a search gave."""
    entries = [{**_entry(one.conversation), "excerpt": one.excerpt} for one in conversations]
    return {"query": query, "drawn": new_id(), "entries": entries}


def _entry(conversation: Conversation) -> dict[str, str]:
    return {"id": conversation.id, "title": conversation.title, "at": conversation.last_at}


# ---- what the browser sent -----------------------------------------------------------------------------------------


def _refuse(cause: Exception | None = None) -> NoReturn:
    raise BadInput("The page sent something that it never offers; reload it and try again.") from cause


def field(data: Mapping[str, Any] | None, name: str) -> str:
    """A text of an event. Raises `BadInput` when it is not there."""
    value = (data or {}).get(name)
    if not isinstance(value, str):
        _refuse()
    return value


def thumb_of(data: Mapping[str, Any]) -> tuple[ThumbValue | None, list[str], str]:
    """Value, reasons and comment of a thumb that was pressed."""
    reasons = data.get("reasons", [])
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        _refuse()
    try:
        value = ThumbValue(field(data, "value")) if data.get("value") != "" else None
    except ValueError as error:
        _refuse(error)
    return value, reasons, field(data, "comment")


def outcome_of(data: Mapping[str, Any]) -> DuelOutcome | None:
    """How a duel is to end; None: without a decision."""
    name = field(data, "outcome")
    try:
        return None if name == SKIP else DuelOutcome(name)
    except ValueError as error:
        _refuse(error)


def style_of(data: Mapping[str, Any] | None) -> Style:
    """The style on screen; what is missing is as the owner set it."""
    if not isinstance(data, Mapping):
        return Style()
    temperature, length = data.get("temperature"), data.get("max_new_tokens")
    numbers = (value for value in (temperature, length) if value is not None)
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        _refuse()
    try:
        return Style(
            field(data, "system_prompt") if "system_prompt" in data else "",
            None if temperature is None else round(float(temperature), 6),
            None if length is None else int(length),
        )
    except (ValueError, OverflowError) as error:  # not a number, endless
        _refuse(error)


def chosen_style(data: Mapping[str, Any] | None) -> Style | None:
    """The style a question is asked with; None, the one that is stored, while the form does not show it yet."""
    return style_of(data) if data else None


def style_value(style: Style) -> dict[str, Any]:
    """The style as its form draws it."""
    return {
        "system_prompt": style.system_prompt,
        "temperature": style.temperature,
        "max_new_tokens": style.max_new_tokens,
    }


# ---- lines ---------------------------------------------------------------------------------------------------------


def thumb_saved(value: ThumbValue | None, words: Words) -> str:
    """The line after a thumb."""
    return words("chat.thumb_back" if value is None else f"chat.thumb_{value}_saved")


def who_answers(version_id: str, model_line: str, scene: Scene, words: Words) -> str:
    """The small line under the box. In an open duel it names no version."""
    if scene.duel is not None:
        return words("chat.who_later")
    return words("chat.who_answers", version=_bold(version_id), model=f"<span>{html.escape(model_line)}</span>")


def reveal(duel: Duel, continues: str | None, words: Words) -> str:
    """The line after a duel: which version wrote which side, and which answer continues the conversation."""
    side = "left" if continues == duel.left.id else "right"
    key = f"chat.{'skipped' if duel.outcome is None else 'reveal'}_{side}"
    return words(key, left=_bold(str(duel.left.version)), right=_bold(str(duel.right.version)))


def refused_vote(duel: Duel, sentence: str, words: Words) -> str:
    """The line after a vote on a duel that takes none any more: why, and which version wrote which side."""
    versions = words("chat.versions", left=_bold(str(duel.left.version)), right=_bold(str(duel.right.version)))
    return f"{warning(sentence)} {versions}"


def warning(sentence: str) -> str:
    """A line that must be seen."""
    return f'<span class="warning">{html.escape(sentence)}</span>' if sentence else ""


def why(found: Explanation, words: Words) -> str:
    """The card of one answer: who wrote it, what the reward model gives it, how far its version has drifted there."""
    if found.score is None:
        score = words("chat.card_no_reward")
    else:
        score = words(
            "chat.card_above" if found.score >= 0 else "chat.card_below",
            score=_bold(f"{found.score:+.2f}"),
            distance=f"{abs(found.score):.2f}",
            version=html.escape(str(found.scored_by)),
        )
    if found.drift is None:
        drift = words("chat.card_unknown")
    else:
        drift = words("chat.card_drifted", drift=_bold(f"{found.drift:+.2f}"), tokens=found.tokens)
    rows = {"card_version": _bold(str(found.version)), "card_score": score, "card_drift": drift}
    return (
        "<dl>" + "".join(f"<dt>{words(f'chat.{name}')}</dt><dd>{value}</dd>" for name, value in rows.items()) + "</dl>"
    )


def _bold(text: str) -> str:
    return f"<b>{html.escape(text)}</b>"
