"""A sentence in both languages of the screens: what the night says about itself, with the same figures in each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """The same sentence in English and Chinese."""

    en: str
    zh: str

    def __add__(self, other: "Said") -> "Said":
        """One sentence after the other: with a space in English, without one in Chinese."""
        return Said(f"{self.en} {other.en}".strip(), self.zh + other.zh)


def listed(parts: list[Said]) -> Said:
    """Several clauses as one, in order."""
    return Said("; ".join(part.en for part in parts), "；".join(part.zh for part in parts))


def in_english(said: Said | None) -> str | None:
    """The English sentence, where there is one."""
    return said.en if said else None
