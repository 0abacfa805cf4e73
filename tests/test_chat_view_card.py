"""The card of one answer, in words."""

from demo.catalogue import Words
from demo.pages.chat_view import why
from nightschool.records import Explanation

ENGLISH = Words("en")


def test_the_card_says_how_far_above_or_below_the_untouched_model_and_escapes_names() -> None:
    card = why(Explanation("r", "<v1>", -0.5, "v2", 2.25, 12), ENGLISH)
    assert "&lt;v1&gt;" in card
    assert "0.50 standard deviations below" in card
    assert "+2.25</b> nats" in card
    assert "12 tokens" in card


def test_without_a_reward_model_the_card_says_so() -> None:
    card = why(Explanation("r", None, None, None, None, 3), ENGLISH)
    assert "no night has made a reward model yet" in card
    assert "unknown" in card
