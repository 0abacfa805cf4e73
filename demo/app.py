"""The Gradio app: two pages, one look. System fonts, because the fonts Gradio bundles lack letters in bold."""

from pathlib import Path

import gradio as gr
from gradio.components import Navbar

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.explanations import Explanations
from demo.feedback_room import FeedbackRoom
from demo.identity import Visitors
from demo.nights import Nights
from demo.pages.chat import ChatPage
from demo.pages.feedback import FeedbackPage
from demo.pages.school import SchoolPage
from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook

ASSETS = Path(__file__).resolve().parent / "assets"
QUEUE_PLACES = 64

THEME = gr.themes.Default(
    primary_hue=gr.themes.colors.indigo,
    neutral_hue=gr.themes.colors.slate,
    radius_size=gr.themes.sizes.radius_lg,
    font=["system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"],
    font_mono=["ui-monospace", "Consolas", "monospace"],
)


def build_pages(
    *,
    classroom: Classroom,
    nights: Nights,
    explanations: Explanations,
    book: NightBook,
    store: FeedbackStore,
    visitors: Visitors,
    model_line: str,
    effort: str,
    feedback_room: FeedbackRoom,
    words: Words,
) -> gr.Blocks:
    """Chat at `/`, School at `/school`. No `gr.State` and no `unload`: either would hold a connection per tab."""
    blocks = gr.Blocks(title="NightSchool", fill_height=True, fill_width=True, analytics_enabled=False)
    with blocks:
        Navbar(main_page_name="Chat")
        ChatPage(blocks, classroom, visitors, explanations, model_line=model_line)
    with blocks.route("School", "/school"):
        Navbar(main_page_name="Chat")
        SchoolPage(blocks, classroom=classroom, nights=nights, book=book, store=store, visitors=visitors, effort=effort)
    with blocks.route(words("feedback.page"), "/feedback"):
        Navbar(main_page_name="Chat")
        FeedbackPage(blocks, feedback_room, visitors, words=words)
    blocks.queue(max_size=QUEUE_PLACES, default_concurrency_limit=8)
    return blocks
