"""The Gradio app: three pages, one look. System fonts, because the fonts Gradio bundles lack letters in bold."""

from pathlib import Path

import gradio as gr
from gradio.components import Navbar

from demo.catalogue import LANGUAGES, Words
from demo.classroom import Classroom
from demo.explanations import Explanations
from demo.identity import Visitors
from demo.nights import Nights
from demo.pages.api import PublicApi
from demo.pages.chat import ChatPage
from demo.pages.rank import RankPage
from demo.pages.school import SchoolPage
from demo.rank_room import RankRoom
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
    rank_room: RankRoom,
    words: Words,
) -> gr.Blocks:
    """Chat at `/`, Rank at `/rank`, School at `/school`.

    No `gr.State` and no `unload`: either would hold a connection per tab.
    """
    blocks = gr.Blocks(title="NightSchool", fill_height=True, fill_width=True, analytics_enabled=False)
    with blocks:
        if words.language == LANGUAGES[0]:
            PublicApi(classroom, rank_room, visitors).publish()  # before the pages: names go to who comes first
        Navbar(main_page_name="Chat")
        ChatPage(blocks, classroom, visitors, explanations, model_line=model_line)
    with blocks.route(words("rank.page"), "/rank"):
        Navbar(main_page_name="Chat")
        RankPage(blocks, rank_room, visitors, words=words)
    with blocks.route("School", "/school"):
        Navbar(main_page_name="Chat")
        SchoolPage(blocks, classroom=classroom, nights=nights, book=book, store=store, visitors=visitors, effort=effort)
    blocks.queue(max_size=QUEUE_PLACES, default_concurrency_limit=8)
    return blocks
