"""Times and durations in the words of a page."""

import html

from demo.catalogue import Words


def clock(moment: str) -> str:
    """The time of day of a stored moment, UTC."""
    return html.escape(moment[11:19])


def date_and_time(moment: str) -> str:
    """A stored moment to the minute, UTC."""
    return html.escape(moment[:16].replace("T", " "))


def spoken_seconds(seconds: float, words: Words) -> str:
    """A duration in words short enough for a table."""
    if seconds < 60:
        return words("school.seconds", seconds=f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}")
    return words("school.minutes", minutes=int(seconds // 60), seconds=f"{int(seconds % 60):02d}")


def about(seconds: float, words: Words) -> str:
    """A duration that is known roughly: whole minutes, from two hours on quarters of hours."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return words("school.under_a_minute")
    if minutes < 120:
        return words("school.whole_minutes", minutes=minutes)
    quarters = round(minutes / 15)
    return words("school.hours", hours=quarters // 4, minutes=f"{quarters % 4 * 15:02d}")
