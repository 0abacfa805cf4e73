"""The list of a person's conversations. Titles are what people wrote, so the browser gets them as text, never HTML."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from nightschool.records import Conversation

SHOWN = 50

DRAW = """
const draw = () => {
  const entries = (props.value || []).map((entry) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.id = entry.id;
    button.title = entry.title;
    button.textContent = entry.title;
    if (entry.current) button.setAttribute('aria-current', 'true');
    const item = document.createElement('li');
    item.append(button);
    return item;
  });
  element.querySelector('ul').replaceChildren(...entries);
};
watch('value', draw);
draw();
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  trigger('opened', { id: button.dataset.id });
  if (window.innerWidth < 768) document.querySelector('#sidebar.open .toggle-button')?.click();
});
"""


def conversation_list() -> gr.HTML:
    """Buttons that fire `opened` with the conversation's id."""
    return gr.HTML(
        value=[],
        html_template='<nav aria-label="Your conversations"><ul></ul></nav>',
        js_on_load=DRAW,
        elem_id="conversations",
        apply_default_css=False,
    )


def entries(conversations: Sequence[Conversation], current_id: str) -> list[dict[str, Any]]:
    """The value of the list: newest first, the open one marked."""
    return [
        {"id": conversation.id, "title": conversation.title, "current": conversation.id == current_id}
        for conversation in conversations[:SHOWN]
    ]
