"""Settings of both programs: defaults < `nightschool.toml` < environment (`NIGHTSCHOOL_*`) < command line."""

import os
from datetime import datetime, time
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, PositiveInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from nightschool.errors import BadInput

EMBEDDED = "embedded"


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightschool"


class Settings(BaseSettings):
    """What the owner may set. Frozen; an unknown name in `nightschool.toml` is an error."""

    model_config = SettingsConfigDict(
        env_prefix="NIGHTSCHOOL_", toml_file="nightschool.toml", frozen=True, extra="forbid"
    )

    db: Path = Path("feedback.db")
    versions: Path = Path("versions")
    model: str = Field(EMBEDDED, min_length=1)
    """`embedded`, a Hugging Face id, or a folder with a causal language model and its tokenizer."""
    cache: Path = Field(default_factory=_default_cache)
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of the model's numbers: `auto` is bfloat16 where the processor multiplies it by itself, else float32."""
    host: str = "127.0.0.1"
    port: int = Field(7860, ge=0, le=65535)
    auth: Path | None = None
    """The accounts file (`python -m demo adduser`); without one, people are anonymous."""
    host_names: tuple[str, ...] = ()
    """Names by which browsers may call this server besides its address, `localhost` and the machine's own name."""
    duel_share: float = Field(0.2, ge=0, le=1)
    """Share of turns answered by two versions side by side without being asked."""
    rank_replies: int = Field(4, ge=3, le=4)
    """How many replies to one prompt the Rank page asks people to put in order."""
    temperature: float = Field(0.7, gt=0, le=2)
    """Served temperature; the night samples and trains at the same one."""
    max_new_tokens: int = Field(256, ge=1, le=4096)
    max_prompt_tokens: int = Field(2048, ge=64)
    """The model's view of a conversation; the oldest turns beyond it are left out of the view, never of the store."""
    resident_versions: int = Field(4, ge=2)
    """How many versions stay in memory (142 MB each in bfloat16 for the embedded model with 20 trained layers)."""
    reward_start: str = Field("base", min_length=1)
    """What the reward model starts from: `base` (the model itself), `scratch` (a random top), or another model."""
    lora_layers: PositiveInt | Literal["all"] = 20
    """Upper layers of the policy that a night trains; what lies below is computed once per text.

    The top 4 of SmolLM2's 30 hold little of what a text is about; what 20 brought and cost is in docs/log.md
    (2026-12-01, last)."""
    thumb_reasons_up: tuple[str, ...] = ("helpful", "accurate", "clear", "well_written", "right_length")
    """Reasons offered for a thumb up: keys of `demo/words/reasons.toml`; another key is shown as it is."""
    thumb_reasons_down: tuple[str, ...] = ("wrong", "not_followed", "too_long", "too_short", "repeats", "unsafe")
    effort: str = "normal"
    """How long a night started from the School page or by the timetable takes: quick, normal or thorough."""
    promotion: Literal["exam", "probation", "manual"] = "exam"
    """What lets a better version answer: `exam` (the exam's verdict; duels may still take it back), `probation` (people
    must prefer it in duels first), or `manual` (the owner, by promoting it)."""
    nightly: time | None = None
    """Local time at which the chat's server starts a night, as 02:30; `off` (the default): only when asked."""
    nightly_zone: str = ""
    """Time zone of `nightly`, as Europe/Berlin; empty: the machine's."""
    seed: int | None = Field(None, ge=0)
    """Of what the chat draws by chance (replies, sides of duels, prompts to rank) and of nights: the same requests in
    the same order get the same answers. For simulations and measurements; none (the default): by chance."""

    @field_validator("nightly", mode="before")
    @classmethod
    def _clock(cls, given: object) -> object:
        """A time of day to the minute, as text or as TOML's own."""
        if given in {"", "off", None}:
            return None
        if isinstance(given, time) and given.tzinfo is None:
            return given.replace(second=0, microsecond=0)
        try:
            return datetime.strptime(str(given), "%H:%M").time()
        except ValueError as error:
            raise ValueError("give a time of day as 02:30, or off") from error

    @field_validator("nightly_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            if name:
                ZoneInfo(name)
        except (LookupError, ValueError, OSError) as error:
            raise ValueError("give a name as Europe/Berlin, or leave it out for the machine's zone") from error
        return name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line first, then environment, then the TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**given: object) -> Settings:
    """Settings with the command line's values (None: not given). Raises `BadInput` naming the first bad one."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise BadInput(
            f"The setting {name} was given as {first['input']!r}: {first['msg']}; correct it on the command line, in "
            f"NIGHTSCHOOL_{name.upper()} or in nightschool.toml."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
        raise BadInput(f"The file nightschool.toml could not be read ({error}); correct it or move it away.") from error
