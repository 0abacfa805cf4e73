"""The chat page's own widgets: the conversation, the list of conversations, the style of a conversation.

Each is an HTML component whose template holds no text of anybody: `demo/assets/chat/*.js` draws what the server sends
as plain values, and reports what a person does as named events.
"""

from functools import cache
from importlib import resources
from typing import Any

import gradio as gr

from demo.catalogue import Words
from demo.lessons import ThumbReasons
from nightschool.records import Sampling

SLICES = ("everyday", "story", "information", "code")

TALK_WORDS = (
    "add_reason", "answer", "bad", "cancel", "choose", "close", "comment", "conversation", "copied", "copy",
    "copy_code", "corrected", "earlier", "edit", "good", "hello", "hello_line", "hidden", "improve", "improve_hint",
    "later", "left", "longest", "no_vote_yet", "not_saved", "place", "regenerate", "right", "save", "saved", "saving",
    "send", "show_corrected", "show_earlier", "show_original", "sidebar", "stopped", "take_back", "to_end", "unheard",
    "vote_both_bad", "vote_left", "vote_right", "vote_skip", "vote_tie", "why_bad", "why_good", "withdraw",
    "writing_two", "you", "your_answer", "your_question",
)  # fmt: skip
LIST_WORDS = (
    "delete", "deleted", "more_by_search", "no_conversations", "nothing_found", "older", "rename", "search",
    "this_week", "title", "today", "undo", "yesterday", "your_conversations",
)  # fmt: skip
STYLE_WORDS = (
    "defaults", "length", "system_prompt", "system_prompt_hint", "temperature", "temperature_hint",
)  # fmt: skip


def conversation(value: dict[str, Any], words: Words, reasons: ThumbReasons) -> gr.HTML:
    """Messages with all that can be done with them. Props: `draft` (what is being written), `ack` (of a save),
    `still` (nobody writes any more)."""
    return gr.HTML(
        value=value,
        html_template='<div class="talk"></div>',
        js_on_load=_script("dom", "saving", "judging", "editing", "turns", "duel", "unsent", "talk"),
        elem_id="talk",
        apply_default_css=False,
        words=_sentences(words, TALK_WORDS),
        examples=[[words(f"chat.{slice}"), words(f"chat.{slice}_example")] for slice in SLICES],
        reasons={"up": _offered(words, reasons.up), "down": _offered(words, reasons.down)},
        draft=None,
        ack=None,
        still=None,
    )


def conversation_list(value: dict[str, Any], words: Words) -> gr.HTML:
    """The person's conversations. Props: `found` (what a search gave), `gone` (the one that was deleted last)."""
    return gr.HTML(
        value=value,
        html_template="<nav></nav>",
        js_on_load=_script("dom", "list"),
        elem_id="conversations",
        apply_default_css=False,
        words=_sentences(words, LIST_WORDS),
        found=None,
        gone=None,
    )


def style_form(words: Words, sampling: Sampling) -> gr.HTML:
    """System prompt, temperature, length; its value is what is on screen."""
    return gr.HTML(
        value={},
        html_template='<div class="style-form"></div>',
        js_on_load=_script("dom", "style"),
        elem_id="style",
        apply_default_css=False,
        words=_sentences(words, STYLE_WORDS),
        defaults={"temperature": sampling.temperature, "limit": sampling.max_new_tokens},
    )


def _sentences(words: Words, names: tuple[str, ...]) -> dict[str, str]:
    """Sentences for the browser, which fills in their {names} itself."""
    return {name: words.template(f"chat.{name}") for name in names}


def _offered(words: Words, keys: tuple[str, ...]) -> list[list[str]]:
    """[key, word] of each reason; an owner's own key is shown as it is."""
    return [[key, words(f"reasons.{key}") if words.knows(f"reasons.{key}") else key] for key in keys]


@cache
def _script(*names: str) -> str:
    folder = resources.files("demo").joinpath("assets", "chat")
    return "\n".join(folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in names)
