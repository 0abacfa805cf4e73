"""Fixtures that several test modules share: an empty database and what stands on it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.talks import Talk, start_talk


@pytest.fixture
def database(tmp_path: Path) -> Iterator[FeedbackDatabase]:
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as opened:
        yield opened


@pytest.fixture
def store(database: FeedbackDatabase) -> FeedbackStore:
    return FeedbackStore(database)


@pytest.fixture
def talk(store: FeedbackStore) -> Talk:
    return start_talk(store)


@pytest.fixture
def registry(database: FeedbackDatabase) -> VersionRegistry:
    return VersionRegistry(database)


@pytest.fixture
def book(database: FeedbackDatabase) -> NightBook:
    return NightBook(database)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model; do not change it, copy it."""
    from tests.tiny import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_base(tiny_folder: Path) -> Any:
    """The tiny model in float32, where batches of different shape agree to the last few bits; do not change it."""
    import torch

    from nightschool.model import load_base

    return load_base(str(tiny_folder), tiny_folder, dtype=torch.float32)


@pytest.fixture(scope="session")
def embedded_cache() -> Path:
    """The owner's own cache, so that the embedded model is converted once and not at every test run."""
    from nightschool.settings import load_settings

    return load_settings().cache


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The Chromium of this machine (Playwright's own where there is none), with nothing that calls home."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    from tests.find_chromium import find_chromium

    return {"args": flags, "executable_path": find_chromium()}


@pytest.fixture(scope="session")
def base_url() -> None:
    """Not used: each test names its own server. (The plugin's own fixture raises a deprecation warning of pytest 9.)"""
