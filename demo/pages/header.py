"""The line above every page: the way to the other pages, the languages, and who is logged in."""

import html
from typing import Any

import gradio as gr

from demo.catalogue import LANGUAGES, Words
from demo.doors import PAGES
from demo.identity import Visitors
from demo.languages import HTML_LANG, PREFIX

# The name is what somebody wrote, so the browser gets it as text, never HTML.
DRAW = """
const draw = () => {
  const person = element.querySelector('.person');
  person.hidden = !props.value?.name;
  if (person.hidden) return;
  person.querySelector('.initial').textContent = [...props.value.name][0].toUpperCase();
  person.querySelector('summary').title = props.value.name;
  person.querySelector('.name').textContent = props.value.name;
  person.querySelector('.role').textContent = props.value.role;
};
watch('value', draw);
draw();
element.querySelector('.pages [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
document.addEventListener('click', (event) => {
  const menu = element.querySelector('details');
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener('keydown', (event) => {
  const menu = element.querySelector('details');
  if (event.key === 'Escape' && menu?.open) {
    menu.open = false;
    menu.querySelector('summary').focus();
  }
});
"""


def header(blocks: gr.Blocks, page: str, visitors: Visitors, words: Words) -> None:
    """Draw it at the top of a page, in place of Gradio's own, which `header.css` hides."""
    shown = gr.HTML(
        value={},
        html_template=_template(page, words),
        js_on_load=DRAW,
        elem_id="site-header",
        apply_default_css=False,
        padding=False,
    )
    if visitors.accounts is None:
        return

    def who(request: gr.Request) -> dict[str, str]:
        account = visitors.account(request.cookies)
        return {} if account is None else {"name": account.name, "role": words(f"common.role_{account.role}")}

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    blocks.load(who, None, shown, queue=False, **quiet)


def _template(page: str, words: Words) -> str:
    """The parts that are the same for everybody."""
    prefix = PREFIX[words.language]
    links = "".join(
        f'<a href="{prefix}{path}"{_current(name == page, "page")}>{_text(words, f"common.page_{name}")}</a>'
        for name, path in PAGES.items()
    )
    switch = "".join(
        f'<a href="{prefix}{PAGES[page]}?language={language}" lang="{HTML_LANG[language]}"'
        f"{_current(language == words.language, 'true')}>{_text(words, f'common.language_{language}')}</a>"
        for language in LANGUAGES
    )
    return (
        f'<header class="of-{page}"><a class="brand" href="{prefix}/">{_text(words, "common.brand")}</a>'
        f'<nav class="pages" aria-label="{_text(words, "common.pages")}">{links}</nav>'
        f'<nav class="languages" aria-label="{_text(words, "common.language")}">{switch}</nav>'
        f'<details class="person" hidden><summary aria-label="{_text(words, "common.logged_in_as")}">'
        f'<span class="initial"></span></summary><div class="menu"><b class="name"></b><span class="role"></span>'
        f'<form method="post" action="{prefix}/logout"><button>{_text(words, "common.log_out")}</button></form>'
        "</div></details></header>"
    )


def _text(words: Words, key: str) -> str:
    return html.escape(words(key))


def _current(holds: bool, kind: str) -> str:
    return f' aria-current="{kind}"' if holds else ""
