"""Markdown of an answer -> HTML that a page may show as it is.

Safe by construction: HTML in the text stays text, no picture is ever loaded, links take only harmless schemes, and code
is coloured by Pygments, which escapes what it colours.
"""

import html
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST_COLOURED = 20_000
"""Characters of a code block beyond which it is shown without colours."""

_COLOURS = HtmlFormatter(nowrap=True, classprefix="hl-")


class _Renderer(RendererHTML):
    """The usual HTML, but for code blocks, links and tables."""

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        language = token.info.split()[0] if token.info.split() else ""
        return (
            f'<div class="code"><div class="code-head"><span>{html.escape(language)}</span></div>'
            f'<pre tabindex="0"><code>{_coloured(token.content, language)}</code></pre></div>\n'
        )

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.fence(tokens, idx, options, env)

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        tokens[idx].attrs |= {"target": "_blank", "rel": "noopener noreferrer nofollow"}
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<div class="wide"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"


_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    .enable(["table", "strikethrough"])
    .disable(["image", "html_block", "html_inline"])
)


def to_html(text: str) -> str:
    """HTML of one answer."""
    return str(_MARKDOWN.render(text))


def _coloured(code: str, language: str) -> str:
    if language and len(code) <= LONGEST_COLOURED:
        try:
            return str(highlight(code, get_lexer_by_name(language, stripnl=False), _COLOURS))
        except ClassNotFound:
            pass  # a language that Pygments does not know is shown plain
    return html.escape(code)
