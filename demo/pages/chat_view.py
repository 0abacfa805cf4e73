"""What the chat page shows, as plain values: messages, thumbs, lines of status. No event, no state."""

import html
import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from demo.classroom import Draft, Scene
from nightschool.records import Duel, DuelOutcome, Explanation, ReplyStatus, ThumbValue, Turn

UPDATES_PER_SECOND = 12
"""A browser redraws the whole visible conversation at each update, so tokens are shown on a clock."""

THUMB_LABEL = {ThumbValue.UP: "Like", ThumbValue.DOWN: "Dislike", None: None}
THUMB_OF_CLICK = {True: ThumbValue.UP, False: ThumbValue.DOWN, "": None}
"""What Gradio reports for a thumb that was pressed: up, down, or taken back."""

THUMB_SAVED = {
    ThumbValue.UP: "Saved: a good answer.",
    ThumbValue.DOWN: "Saved: a bad answer.",
    None: "Your thumb was taken back.",
}

EMPTY_REPLY = {
    ReplyStatus.STREAMING: "…",
    ReplyStatus.DONE: "*The model ended its turn without a word. Press Regenerate for another try.*",
    ReplyStatus.STOPPED: "*Stopped before the first word.*",
    ReplyStatus.FAILED: "*This answer could not be written. Press Regenerate to try again.*",
}

VOTES = {
    DuelOutcome.LEFT: "Left is better",
    DuelOutcome.RIGHT: "Right is better",
    DuelOutcome.TIE: "Tie",
    DuelOutcome.BOTH_BAD: "Both bad",
}
WRITING_TWO = "Two versions are writing. Read both, then choose."
CHOOSE = (
    'Which answer is better? <span class="keys"><kbd>1</kbd> left &nbsp; <kbd>2</kbd> right &nbsp; '
    "<kbd>0</kbd> tie &nbsp; <kbd>-</kbd> both bad</span>"
)
NOTHING_TO_COMPARE = "Both answers came out the same, or one of them empty: there was nothing to compare."


def messages(turns: Sequence[Turn]) -> list[Any]:
    """The turns as the chatbot wants them; each message carries its id, so that a thumb can name its reply."""
    return [{"role": turn.role, "content": shown_text(turn), "metadata": {"id": turn.id}} for turn in turns]


def shown_text(turn: Turn) -> str:
    """What stands in a bubble: the text, or a word on why there is none."""
    if turn.text.strip() or turn.status is None:
        return turn.text
    return EMPTY_REPLY[turn.status]


def thumb_labels(turns: Sequence[Turn]) -> list[str | None]:
    """The state of the thumbs, one per assistant message."""
    return [THUMB_LABEL[turn.thumb] for turn in turns if turn.role == "assistant"]


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


def who_answers(version_id: str, model_line: str, scene: Scene) -> str:
    """The small line under the box. In an open duel it names no version."""
    if scene.duel is not None:
        return "Which versions wrote these answers is shown after your vote."
    hidden = f" {scene.hidden} earlier messages are kept but not shown." if scene.hidden else ""
    return f"Version <b>{html.escape(version_id)}</b> answers, {html.escape(model_line)}. It can be wrong.{hidden}"


def reveal(duel: Duel, continues: str | None) -> str:
    """The line after a vote: which version wrote which side, and which answer continues the conversation."""
    side = "left" if continues == duel.left.id else "right"
    return (
        f"Saved. Left was <b>{html.escape(str(duel.left.version))}</b>, right was "
        f"<b>{html.escape(str(duel.right.version))}</b>. The {side} answer continues the conversation."
    )


LOOKING = "Looking at the last answer: the reward model is loaded for it, which takes some seconds."


def why(found: Explanation) -> str:
    """The card of one answer: who wrote it, what the reward model gives it, how far its version has drifted there."""
    if found.score is None:
        score = "no night has made a reward model yet"
    else:
        side = "above" if found.score >= 0 else "below"
        score = (
            f"<b>{found.score:+.2f}</b> ({abs(found.score):.2f} standard deviations {side} the untouched model's "
            f"usual answer, by the reward model of {html.escape(str(found.scored_by))})"
        )
    if found.drift is None:
        drift = "unknown"
    else:
        drift = f"<b>{found.drift:+.2f}</b> nats from the untouched model over {found.tokens} tokens"
    rows = {"Version": f"<b>{html.escape(str(found.version))}</b>", "Score": score, "Drift": drift}
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items()) + "</dl>"
