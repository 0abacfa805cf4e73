"""The Gradio app: the pages of one language, one look. System fonts, because Gradio's own lack letters in bold."""

from pathlib import Path

import gradio as gr

from demo.catalogue import LANGUAGES, Words
from demo.classroom import Classroom
from demo.doors import PAGES
from demo.explanations import Explanations
from demo.feedback_room import FeedbackRoom
from demo.identity import Visitors
from demo.nights import Nights
from demo.outlook import Outlook
from demo.pages.api import PublicApi
from demo.pages.chat import ChatPage
from demo.pages.coevolution_view import coevolution_section
from demo.pages.feedback import FeedbackPage
from demo.pages.header import header
from demo.pages.rank import RankPage
from demo.pages.school import SchoolPage
from demo.pages.versions import Section, VersionsPage
from demo.rank_room import RankRoom
from demo.version_room import VersionRoom
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
    outlook: Outlook,
    explanations: Explanations,
    book: NightBook,
    visitors: Visitors,
    model_line: str,
    effort: str,
    rank_room: RankRoom,
    feedback_room: FeedbackRoom,
    version_room: VersionRoom,
    words: Words,
) -> gr.Blocks:
    """The pages of one language. No `gr.State` and no `unload`: either would hold a connection per tab."""
    blocks = gr.Blocks(title=words("common.brand"), fill_height=True, fill_width=True, analytics_enabled=False)
    with blocks:
        if words.language == LANGUAGES[0]:
            PublicApi(classroom, rank_room, visitors, words).publish()  # first: names go to who comes first
        header(blocks, "chat", visitors, words)
        ChatPage(blocks, classroom, visitors, explanations, model_line=model_line, words=words)
    with blocks.route(words("common.page_rank"), PAGES["rank"]):
        header(blocks, "rank", visitors, words)
        RankPage(blocks, rank_room, visitors, words=words)
    with blocks.route(words("common.page_feedback"), PAGES["feedback"]):
        header(blocks, "feedback", visitors, words)
        FeedbackPage(blocks, feedback_room, visitors, words=words)
    with blocks.route(words("common.page_school"), PAGES["school"]):
        header(blocks, "school", visitors, words)
        SchoolPage(
            blocks,
            classroom=classroom,
            nights=nights,
            outlook=outlook,
            book=book,
            visitors=visitors,
            effort=effort,
            words=words,
        )
    with blocks.route(words("common.page_versions"), PAGES["versions"]):
        header(blocks, "versions", visitors, words)
        VersionsPage(blocks, version_room, visitors, words=words, sections=[coevolved(version_room)])
    blocks.queue(max_size=QUEUE_PLACES, default_concurrency_limit=8)
    return blocks


def coevolved(room: VersionRoom) -> Section:
    """What reward models think of versions, night by night."""
    return lambda words: coevolution_section(room.coevolution(), words)
