"""Every reward model scores every version, on a tiny model: the numbers, what is kept, and what is left out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nightschool.coevolution import COEVOLUTION, Cell, Matrix, coevolution, gain_of, kept_scores
from nightschool.feedback import FeedbackStore
from nightschool.files import MANIFEST, sha256_of, whole_folder, write_json
from nightschool.model import BaseModel, base_of
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings, load_settings
from nightschool.version_folder import POLICY, load_policy
from tests.tiny import make_tiny_model
from tests.training_fixtures import random_head
from training.candidate import REWARD
from training.coevolution import MOST_VERSIONS, SAMPLES, SEED, coevolve, forget, versions_looked_at
from training.coevolution_command import as_dict, in_lines
from training.judgements import Answer
from training.policy import Policy
from training.prompts import exam_half
from training.reward_folder import HEAD, save_reward_model
from training.reward_model import RewardModel
from training.rollout import Drawing, draw
from training.trunk import SplitModel

TOKENS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", layers=2)


@pytest.fixture(scope="module")
def base(folder: Path) -> BaseModel:
    return base_of(load_settings(model=str(folder), cache=folder.parent))


@pytest.fixture
def settings(tmp_path: Path, folder: Path) -> Settings:
    return load_settings(
        db=tmp_path / "feedback.db", versions=tmp_path / "versions", model=str(folder), max_new_tokens=TOKENS
    )


@pytest.fixture
def make(settings: Settings, base: BaseModel, registry: VersionRegistry) -> Callable[..., RewardModel]:
    """Makes a version as a night would leave it, and returns its reward model."""

    def made(name: str, seed: int, *, with_lora: bool = False) -> RewardModel:
        split = SplitModel(base, 1)
        policy = Policy(split, seed=0)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in policy.weights():
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
        adapter, top = split.adapter() if with_lora else (None, None)
        if adapter is not None:
            with torch.no_grad():
                for weight in adapter.parameters():
                    if weight.requires_grad:
                        weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
        model = RewardModel(split, random_head(split, seed), adapter, top)
        with whole_folder(settings.versions / name) as temporary:
            policy.save(temporary / POLICY)
            save_reward_model(model, temporary / REWARD)
            write_json(temporary / "report.json", {"seed": 1, "lora_layers": 1, "reward_start": "base"})
        digest = sha256_of(settings.versions / name / MANIFEST)
        created = f"2999-01-01T00:00:{seed:02d}"
        version = Version(name, INITIAL, created, None, base.fingerprint, digest, VerdictKind.PROMOTED)
        registry.add(version, [])
        return model

    return made


def run(settings: Settings, registry: VersionRegistry, base: BaseModel, **given: object) -> tuple[Matrix, list[str]]:
    said: list[str] = []
    matrix = coevolve(settings, registry, base, said.append, **given)  # type: ignore[arg-type]
    assert matrix is not None
    return matrix, said


def answers_of(settings: Settings, base: BaseModel, version: Version) -> list[Answer]:
    """Drawn once more, the plain way."""
    half = exam_half(base)
    prompts = [half[4 * place] for place in range(SAMPLES)]  # 128 / 32
    model = load_policy(settings.versions, version, base)
    return draw(SplitModel(base, 1), model, prompts, Drawing(0.7, TOKENS), torch.Generator().manual_seed(SEED))


def test_each_cell_is_the_mean_gain_over_the_initial_model_on_the_same_prompts(
    settings: Settings, registry: VersionRegistry, base: BaseModel, make: Callable[..., RewardModel]
) -> None:
    models = {"v1": make("v1", 1), "v2": make("v2", 2, with_lora=True)}
    matrix, said = run(settings, registry, base)
    assert (matrix.judges, matrix.versions, matrix.prompts) == (("v1", "v2"), (INITIAL, "v1", "v2"), SAMPLES)
    assert said[-1] == "Co-evolution: 6 new opinions of reward models on versions."
    replies = {version.id: answers_of(settings, base, version) for version in registry.list()}
    assert replies[INITIAL] != replies["v1"] != replies["v2"]
    for judge, model in models.items():
        scores = {name: model.scores(answers) for name, answers in replies.items()}
        assert matrix.cells[judge, INITIAL] == Cell(0.0, 0.0)
        for name in ("v1", "v2"):
            gains = scores[name] - scores[INITIAL]
            cell = matrix.cells[judge, name]
            assert cell.gain == pytest.approx(float(gains.mean()), abs=2e-4)
            assert cell.error == pytest.approx(float(gains.std() / SAMPLES**0.5), abs=2e-4)
            assert cell.error > 1e-3  # replies and scores differ


def test_a_gain_worked_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, standard deviation 1, over the root of 3.
    assert gain_of([2.0, 2.0, 4.0], [1.0, 0.0, 1.0]) == Cell(2.0, pytest.approx(1 / 3**0.5))
    assert gain_of([2.0], [1.0]) == Cell(1.0, 0.0)


def test_only_what_is_new_is_computed(
    settings: Settings, registry: VersionRegistry, base: BaseModel, make: Callable[..., RewardModel]
) -> None:
    make("v1", 1)
    first, _ = run(settings, registry, base)
    kept = kept_scores(settings.versions)
    assert kept is not None
    kept["scores"]["v1"]["v1"] = [7.0] * SAMPLES  # a mark: computed anew it would be gone
    kept["replies"][INITIAL][0] = [9]
    (settings.versions / COEVOLUTION).write_text(json.dumps(kept))
    _, said = run(settings, registry, base)
    assert said == ["Co-evolution: 0 new opinions of reward models on versions."]
    make("v2", 2)
    second, said = run(settings, registry, base)
    assert said == ["Co-evolution: 4 new opinions of reward models on versions."]  # v1 on v2, v2 on all three
    assert second.cells["v1", "v1"] != first.cells["v1", "v1"]
    kept = kept_scores(settings.versions)
    assert kept is not None
    assert kept["scores"]["v1"]["v1"] == [7.0] * SAMPLES
    assert kept["replies"][INITIAL][0] == [9]


def test_a_damaged_version_is_left_out_with_a_word_and_comes_back_when_it_is_restored(
    settings: Settings, registry: VersionRegistry, base: BaseModel, make: Callable[..., RewardModel]
) -> None:
    make("v1", 1)
    make("v2", 2)
    whole, _ = run(settings, registry, base)
    weights = settings.versions / "v1" / POLICY / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    matrix, said = run(settings, registry, base)
    assert (matrix.judges, matrix.versions) == (("v2",), (INITIAL, "v2"))
    assert matrix.cells["v2", "v2"] == whole.cells["v2", "v2"]
    assert "is damaged" in matrix.left_out["v1"]
    assert said[0].startswith("Co-evolution leaves out v1: The version v1 in ")
    weights.write_bytes(content)
    assert run(settings, registry, base)[0] == whole


def test_a_version_without_a_usable_reward_model_is_judged_and_does_not_judge(
    settings: Settings,
    database: FeedbackDatabase,
    registry: VersionRegistry,
    base: BaseModel,
    make: Callable[..., RewardModel],
) -> None:
    make("v1", 1)
    make("v2", 2)
    head, manifest = settings.versions / "v1" / REWARD / HEAD, settings.versions / "v1" / MANIFEST
    head.write_bytes(b"not a head")
    files = json.loads(manifest.read_text())["files"] | {f"{REWARD}/{HEAD}": sha256_of(head)}
    write_json(manifest, {"files": files})  # as if a night had written it so
    with database.write() as db:
        db.table("versions").update("v1", {"manifest_sha256": sha256_of(manifest)})
    matrix, _ = run(settings, registry, base)
    assert matrix.judges == ("v2",)
    assert matrix.versions == (INITIAL, "v1", "v2")
    assert matrix.left_out["v1"].startswith("The reward model of version v1 cannot be used")
    assert ("v2", "v1") in matrix.cells


@pytest.mark.parametrize("damage", ["{", "[]", '{"of": 1}', '{"of": {}, "replies": {}, "scores": {}, "left_out": {}}'])
def test_a_file_that_cannot_be_used_is_made_anew(
    settings: Settings, registry: VersionRegistry, base: BaseModel, make: Callable[..., RewardModel], damage: str
) -> None:
    make("v1", 1)
    settings.versions.mkdir(exist_ok=True)
    (settings.versions / COEVOLUTION).write_text(damage)
    matrix, _ = run(settings, registry, base)
    assert matrix.judges == ("v1",)


def test_when_time_is_used_up_the_newest_versions_are_done_and_the_rest_waits(
    settings: Settings, registry: VersionRegistry, base: BaseModel, make: Callable[..., RewardModel]
) -> None:
    for number in (1, 2, 3):
        make(f"v{number}", number)
    seconds = iter(range(1000))
    # The clock is read once, then before each step: 4 s are enough for the initial replies, v3's, its opinions, v2's.
    matrix, said = run(settings, registry, base, seconds=4, clock=lambda: next(seconds))
    assert "time is used up" in said[0]
    assert (matrix.judges, matrix.versions) == (("v3",), (INITIAL, "v2", "v3"))
    whole, _ = run(settings, registry, base)
    assert len(whole.cells) == 3 * 4


def test_what_is_retired_is_forgotten(
    settings: Settings, registry: VersionRegistry, base: BaseModel, make: Callable[..., RewardModel]
) -> None:
    forget(settings.versions, ["v1"])  # nothing is kept yet
    make("v1", 1)
    make("v2", 2)
    run(settings, registry, base)
    forget(settings.versions, ["v1"])
    kept = kept_scores(settings.versions)
    assert kept is not None
    assert set(kept["replies"]) == {INITIAL, "v2"}
    assert {judge: set(row) for judge, row in kept["scores"].items()} == {"v2": {INITIAL, "v2"}}


def test_of_many_versions_the_newest_the_champion_and_the_initial_one_are_looked_at(registry: VersionRegistry) -> None:
    for number in range(20):
        version = Version(f"v{number:02d}", INITIAL, f"2999-01-{number + 1:02d}", None, "base", "sha", None)
        registry.add(version, [], promote_because="a test" if number == 3 else None)
    names = [version.id for version in versions_looked_at(registry)]
    assert len(names) == MOST_VERSIONS
    assert names == [*(f"v{number:02d}" for number in range(19, 9, -1)), "v03", INITIAL]


def test_the_command_computes_and_tells_it(
    settings: Settings, database: FeedbackDatabase, make: Callable[..., RewardModel]
) -> None:
    make("v1", 1)
    command = [sys.executable, "-W", "error", "-m", "training", "coevolution", "--json", "--db", str(settings.db)]
    command += ["--versions", str(settings.versions), "--model", settings.model]
    environment = {**os.environ, "NIGHTSCHOOL_MAX_NEW_TOKENS": str(TOKENS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 new opinions" in done.stderr  # of v1, on the initial version and on v1
    told = json.loads(done.stdout)
    assert told["versions"] == [INITIAL, "v1"]
    assert [row["judge"] for row in told["opinions"]] == ["v1"]
    assert (told["alarm"], told["nights"], told["retired"]) == (None, [], [])
    # The page reads the same, without a model.
    read = coevolution(settings.versions, VersionRegistry(database), NightBook(database), FeedbackStore(database))
    assert as_dict(read) == told
    gain = told["opinions"][0]["of"]["v1"]["gain"]
    assert any(line.startswith("v1") and f"{gain:+.2f}" in line for line in in_lines(read))
