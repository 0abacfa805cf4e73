"""The leaderboard as a value: made by the night's side from duels, told as JSON, shown by the chat's side."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Rating:
    """One version's place. Without a rating it is not connected with the others: it cannot be compared."""

    version: str
    duels: int
    wins: int
    ties: int
    losses: int
    rating: float | None
    low: float | None
    high: float | None
    """95 % interval."""
    rank: int | None
    """1 and the number of versions that are surely better; None where no other version is surely better or worse."""
    controlled: float | None = None
    """As it would be if all versions dressed their replies alike."""
    controlled_low: float | None = None
    controlled_high: float | None = None


STYLES = ("length", "headings", "lists", "bold")
"""What is counted of how a reply is dressed."""


@dataclass(frozen=True)
class StyleEffect:
    """What a style does by itself: how often the reply that has more of it wins, between equal versions."""

    name: str
    """Of `STYLES`: length (half as long again), or any of the others (one reply has some, the other none)."""
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Leaderboard:
    """All versions, the highest rating first, those without one last."""

    ratings: tuple[Rating, ...]
    duels: int
    people: int
    drawn: str
    """What the intervals were drawn from: people or conversations."""
    tie_strength: float | None
    """nu: a tie is nu / (2 + nu) likely between equal versions. None without a duel."""
    versions: tuple[str, ...]
    """Rows and columns of the matrix, in the order of the ratings."""
    win_shares: tuple[tuple[float | None, ...], ...]
    """Row's share of wins against column, ties as half; None where they never met."""
    meetings: tuple[tuple[int, ...], ...]
    styles: tuple[StyleEffect, ...] = ()
    """Of the styles in which replies of the duels differed."""


def standings_to_json(board: Leaderboard, champion: str) -> dict[str, Any]:
    """The leaderboard as one JSON object, the champion marked."""
    found = asdict(board)
    for row in found["ratings"]:
        row["champion"] = row["version"] == champion
    return found


def standings_from_json(found: dict[str, Any]) -> Leaderboard:
    """The way back, without the mark."""
    ratings = [{name: value for name, value in row.items() if name != "champion"} for row in found["ratings"]]
    return Leaderboard(
        **{
            **found,
            "ratings": tuple(Rating(**row) for row in ratings),
            "versions": tuple(found["versions"]),
            "win_shares": tuple(tuple(row) for row in found["win_shares"]),
            "meetings": tuple(tuple(row) for row in found["meetings"]),
            "styles": tuple(StyleEffect(**row) for row in found["styles"]),
        }
    )
