"""`python -m training try VERSION "question"`: what a version answers, without the chat and without leaving a trace."""

import os
import secrets
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from nightschool.promoting import refuse_what_deleted_judgements_made
from nightschool.records import Message, Sampling
from nightschool.registry import VersionRegistry
from nightschool.settings import load_settings
from training.telling import opened, told


def try_version(
    version: str,
    question: str,
    db: Annotated[Path | None, typer.Option(help="The database (default feedback.db).")] = None,
    versions: Annotated[Path | None, typer.Option(help="Folder of the versions (default versions/).")] = None,
    model: Annotated[str | None, typer.Option(help="embedded, a Hugging Face id, or a model folder.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.", min=0)] = None,
) -> None:
    """What any version answers to a question; `initial` is the untouched model. Nothing of it is stored."""
    with told():
        settings = load_settings(db=db, versions=versions, model=model)
        with opened(settings) as database:
            registry = VersionRegistry(database)
            known = registry.get(version)
            refuse_what_deleted_judgements_made(registry, known)
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from nightschool.embedded_engine import EmbeddedEngine
        from nightschool.model import base_of

        engine = EmbeddedEngine(
            base_of(settings),
            settings.versions,
            max_prompt_tokens=settings.max_prompt_tokens,
            max_new_tokens=settings.max_new_tokens,
            resident=settings.resident_versions,
        )
        with closing(engine):
            engine.prepare(known)
            prompt = engine.prompt_ids([Message("user", question)])
            sampling = Sampling(settings.temperature, settings.max_new_tokens)
            *_, last = engine.stream(known, prompt, sampling, secrets.randbelow(2**31) if seed is None else seed)
    print(last.text.strip())
