"""What a person gives with a conversation, checked before it is stored: plain texts, and how to be answered."""

from nightschool.errors import BadInput
from nightschool.records import Sampling, Style

LONGEST_SYSTEM_PROMPT, LONGEST_COMMENT, LONGEST_CORRECTION = 2000, 2000, 16_000
"""In characters."""
HOTTEST = 2.0
"""The highest temperature a person may choose; the owner's setting knows the same limit."""


def plain(text: str, limit: int) -> str:
    """A text as it can be stored. Raises `BadInput` for one that is too long or holds half of a character."""
    if len(text) > limit:
        raise BadInput(f"The text has {len(text):,} characters, {limit:,} fit; shorten it.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BadInput("The text holds half of a character (a lone surrogate); delete it and try again.")
    return text.replace("\0", "")


def checked_style(style: Style, owners: Sampling) -> Style:
    """The style as it is stored: what is as the owner set it is not a choice. Raises `BadInput`."""
    limit = owners.max_new_tokens
    if style.temperature is not None and not 0 < style.temperature <= HOTTEST:
        raise BadInput(f"The temperature was {style.temperature:g}; choose one above 0 and at most {HOTTEST:g}.")
    if style.max_new_tokens is not None and not 1 <= style.max_new_tokens <= limit:
        raise BadInput(f"The longest answer was {style.max_new_tokens} tokens; choose 1 to {limit}.")
    return Style(
        plain(style.system_prompt, LONGEST_SYSTEM_PROMPT).strip(),
        None if style.temperature == owners.temperature else style.temperature,
        None if style.max_new_tokens == limit else style.max_new_tokens,
    )


def sampling_of(style: Style, owners: Sampling) -> Sampling:
    """How a reply in this style is drawn, where the owner's settings fill what is not chosen."""
    return Sampling(
        owners.temperature if style.temperature is None else style.temperature,
        # an owner may have lowered the limit since
        min(style.max_new_tokens or owners.max_new_tokens, owners.max_new_tokens),
    )
