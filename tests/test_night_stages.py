"""What a night that was interrupted takes up again, and what it must not."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import torch

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.files import manifest_fault
from nightschool.ids import utc_now
from nightschool.model import BaseModel
from nightschool.records import INITIAL, NightState, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings
from tests.seeding import preferences_by_taste
from tests.training_fixtures import random_head, tiny_base
from training import night_stages
from training.candidate import Made, save_candidate
from training.effort import EFFORTS
from training.judgements import Answer, Judgements
from training.learner import Learner
from training.lengthening import LONGEST
from training.night_log import NightLog
from training.night_stages import NightPlan, Stages
from training.night_work import NightWork
from training.nightly import resume_night
from training.policy import Policy
from training.ppo import ALL_DONE, TIME_IS_UP
from training.ppo_update import Surroundings
from training.reward_fit import HeldOut
from training.reward_ladder import FittedReward
from training.reward_metrics import measure
from training.reward_model import RewardModel
from training.rollout import Drawing
from training.rollout_record import read_iterations
from training.shortage import Shortage
from training.shortening import shorten_
from training.trunk import SplitModel
from training.verdict import CHANGED_BY_HAND


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return tiny_base(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def database(tmp_path: Path, base: BaseModel) -> Iterator[FeedbackDatabase]:
    """Eight judgements of ann, eight of bob."""
    with closing(FeedbackDatabase(tmp_path / "feedback.db")) as database:
        preferences = preferences_by_taste(base, 16)
        FeedbackStore(database).import_preferences("ann", preferences[:8])
        FeedbackStore(database).import_preferences("bob", preferences[8:])
        yield database


def _plan(folder: Path) -> NightPlan:
    settings = load_settings(db=folder / "feedback.db", versions=folder / "versions", model="none is needed")
    return NightPlan(settings, EFFORTS["quick"], seed=1, practice=True)


def _stages(database: FeedbackDatabase, folder: Path, night_id: str, said: list[str]) -> Stages:
    log = NightLog(NightBook(database), night_id, said.append)
    return Stages(_plan(folder), database, night_id, log, NightWork(folder / "versions", night_id))


@pytest.mark.parametrize("withdraws", [False, True])
def test_an_interrupted_night_is_resumed_without_judgements_that_were_taken_back(
    tmp_path: Path, database: FeedbackDatabase, withdraws: bool
) -> None:
    night_id, said = NightBook(database).start("quick", 1, practice=True), list[str]()
    stages = _stages(database, tmp_path, night_id, said)
    kept = stages.judgements()
    assert len(kept.sources()) == 16
    stages.begin(kept)
    stages.work.keep("initial", [])
    if withdraws:
        FeedbackStore(database).set_consent("bob", False)
    again = _stages(database, tmp_path, night_id, said)
    assert len(again.judgements().sources()) == (8 if withdraws else 16)
    assert (again.work.kept("initial") is None) is withdraws  # what was built on them is dropped
    assert any("8 judgements were taken back" in line for line in said) is withdraws
    assert (again.receipts == stages.receipts) is not withdraws
    assert (again.report["training_set"] == stages.report["training_set"]) is not withdraws
    assert {each.source for each in again.receipts} == set(again.judgements().sources())


def _tainted_champion(database: FeedbackDatabase, versions: Path) -> None:
    """A champion v1 made from the first duel, which is deleted then."""
    duel = FeedbackStore(database).snapshot().duels[0].id
    version = Version("v1", INITIAL, "9999-01-01", None, "base", "manifest", VerdictKind.PROMOTED)
    VersionRegistry(database).add(version, [("duel", duel)], promote_because="better")
    (versions / "v1").mkdir(parents=True)
    with database.write() as db:
        db.table("duels").delete(duel)


def test_a_night_that_began_from_a_version_that_deleted_judgements_made_begins_anew(
    tmp_path: Path, database: FeedbackDatabase
) -> None:
    night_id, said = NightBook(database).start("quick", 1, practice=False), list[str]()
    _tainted_champion(database, tmp_path / "versions")
    stages = _stages(database, tmp_path, night_id, said)
    stages.begin(stages.judgements())
    assert stages.champion_before == "v1"
    again = _stages(database, tmp_path, night_id, said)
    assert again.champion_before == "v1"  # as it was kept
    again.retire()
    assert again.champion_before == again.report["champion_before"] == INITIAL
    assert again.report["retired"] == ["v1"]
    assert again.work.kept("judgements") is None
    assert not (tmp_path / "versions" / "v1").exists()
    assert "  Retired v1: judgements that made them were deleted. initial answers." in said
    again.retire()  # a night that is resumed once more
    assert again.report["retired"] == []


def test_judgements_that_go_while_a_night_is_at_work_are_counted(tmp_path: Path, database: FeedbackDatabase) -> None:
    stages = _stages(database, tmp_path, NightBook(database).start("quick", 1, practice=False), [])
    judgements = stages.judgements()
    assert stages.taken_back(judgements) == 0
    FeedbackStore(database).set_consent("bob", False)
    assert stages.taken_back(judgements) == 8
    with database.write() as db:
        db.table("duels").delete(FeedbackStore(database).snapshot().duels[0].id)
    assert stages.taken_back(judgements) == 9


def test_a_way_on_which_too_much_was_unlearned_is_shortened_before_the_exam(
    tmp_path: Path, database: FeedbackDatabase, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    stages = _stages(database, tmp_path, NightBook(database).start("quick", 1, practice=False), said)
    judgements = stages.judgements()
    stages.begin(judgements)
    policy = Policy(SplitModel(base, top_layers=2), seed=0)
    begun = policy.copy()

    finished: list[float] = []

    def train(learner: Learner, scorer: object, settings: object, around: Surroundings) -> list[dict[str, float]]:
        finished.append(around.initial_finished)
        with torch.no_grad():
            for weight in learner.policy.weights():
                weight.add_(1.0)
        learner.stopped = "it went far"
        return []

    monkeypatch.setattr(night_stages, "train", train)
    monkeypatch.setattr(NightLog, "progress", lambda *given: None)  # no stage has begun
    monkeypatch.setattr("training.shortening.MOST_SURPRISE", 1e9)
    scorer = RewardModel(policy.split, random_head(policy.split, 0))
    stages.report["model"] = base.name
    initial = [Answer((1, 2), reply) for reply in ((3, 2), (3, 4), (2,), (5, 6))]
    given = (scorer, None, judgements, (), [(1, 2)], Drawing(0.7, 4))
    stages.ppo(policy, *given, initial=initial)
    assert finished == [0.5]
    assert stages.report["ppo_way_kept"] == stages.report["ppo_way_times"] == 1.0  # it moved far more than it may
    assert stages.report["ppo_by_clock"] is False
    policy.take_over_(begun)
    left = iter([1.4, 1.2, 1.05])
    monkeypatch.setattr(night_stages, "shorten_", partial(shorten_, measure=lambda policy: next(left)))
    monkeypatch.setattr("training.shortening.MOST_SURPRISE", 1.08)
    stages.ppo(policy, *given, initial=initial)
    assert stages.report["ppo_way_kept"] == 0.8
    assert any("80% of its way is kept, with 1.05 times" in line for line in said)
    for name, tensor in policy.tensors().items():
        torch.testing.assert_close(tensor, begun[name] + 0.8)


def _ppo_that_moves(monkeypatch: pytest.MonkeyPatch, stopped: str) -> None:
    """In place of PPO: every weight moves by a thousandth."""

    def train(learner: Learner, scorer: object, settings: object, around: Surroundings) -> list[dict[str, float]]:
        with torch.no_grad():
            for weight in learner.policy.weights():
                weight.add_(0.001)
        learner.stopped, learner.history = stopped, [{"kl": 0.0, "seconds": 1.0}]
        return learner.history

    monkeypatch.setattr(night_stages, "train", train)
    monkeypatch.setattr(NightLog, "progress", lambda *given: None)  # no stage has begun


def test_a_way_that_did_not_use_its_nats_goes_on_and_a_resumed_night_as_far_as_the_first_time(
    tmp_path: Path, database: FeedbackDatabase, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    night_id, said = NightBook(database).start("quick", 1, practice=False), list[str]()
    stages = _stages(database, tmp_path, night_id, said)
    judgements = stages.judgements()
    stages.begin(judgements)
    _ppo_that_moves(monkeypatch, ALL_DONE)
    monkeypatch.setattr("training.lengthening.is_better", lambda there, here: True)
    policy = Policy(SplitModel(base, top_layers=2), seed=0)
    begun = policy.copy()
    stages.report["model"] = base.name
    scorer = RewardModel(policy.split, random_head(policy.split, 0))
    given = (scorer, None, judgements, (), [(1, 2), (3,)], Drawing(0.7, 4))
    initial = [Answer((1, 2), (3, 2))]
    stages.ppo(policy, *given, initial=initial)
    assert stages.report["ppo_way_times"] == LONGEST  # it had hardly moved
    assert sum(line.startswith("  The policy goes on to 2.00 times its way: its replies moved ") for line in said) == 1
    for name, tensor in policy.tensors().items():
        torch.testing.assert_close(tensor, begun[name] + LONGEST * 0.001)

    def resumed(*, without: str = "") -> Policy:
        again = _stages(database, tmp_path, night_id, said)
        again.report |= {"model": base.name, "snapshot": stages.report["snapshot"]}
        if without:
            (again.work.folder / f"{without}.json").unlink()
        later = Policy(SplitModel(base, top_layers=2), seed=0)
        again.ppo(later, *given, initial=initial)
        assert again.report["ppo_way_times"] == (1.0 if without else LONGEST)
        return later

    monkeypatch.setattr(night_stages, "go_on_", None)  # it is not asked again
    for name, tensor in resumed().tensors().items():
        assert torch.equal(tensor, policy.tensors()[name])
    stages.work.keep("exam", {})  # of a night that began before ways were gone on
    for name, tensor in resumed(without="way").tensors().items():
        torch.testing.assert_close(tensor, begun[name] + 0.001)


def test_a_way_on_which_replies_get_no_better_ends_where_ppo_did(
    tmp_path: Path, database: FeedbackDatabase, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    stages = _stages(database, tmp_path, NightBook(database).start("quick", 1, practice=False), said)
    judgements = stages.judgements()
    stages.begin(judgements)
    _ppo_that_moves(monkeypatch, TIME_IS_UP)
    monkeypatch.setattr("training.lengthening.is_better", lambda there, here: False)
    policy = Policy(SplitModel(base, top_layers=2), seed=0)
    begun = policy.copy()
    stages.report["model"] = base.name
    scorer = RewardModel(policy.split, random_head(policy.split, 0))
    stages.ppo(policy, scorer, None, judgements, (), [(1, 2)], Drawing(0.7, 4), initial=[Answer((1, 2), (3, 2))])
    assert stages.report["ppo_way_times"] == 1.0
    assert sum(line.startswith("  The policy goes no farther: its replies moved ") for line in said) == 1
    for name, tensor in policy.tensors().items():
        torch.testing.assert_close(tensor, begun[name] + 0.001)


def test_a_resumed_nights_reward_model_is_read_where_it_was_cut(
    tmp_path: Path, database: FeedbackDatabase, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = _stages(database, tmp_path, NightBook(database).start("quick", 1, practice=False), [])
    asked: list[int] = []

    def layers_kept(folder: Path, of_policy: int) -> int:
        asked.append(of_policy)
        return 3

    monkeypatch.setattr(night_stages, "manifest_fault", lambda folder: None)
    monkeypatch.setattr(night_stages, "reward_layers_kept", layers_kept)
    monkeypatch.setattr(night_stages, "load_fitted", lambda folder, reader: reader)
    monkeypatch.setattr(Stages, "_tell_reward", lambda stages, fitted: None)
    reader: object = stages.rewards(SplitModel(base, top_layers=2), Judgements((), ()), [])
    assert isinstance(reader, SplitModel)
    assert (reader.top_layers, stages.report["reward_layers"], asked) == (3, 3, [2])


@pytest.mark.parametrize(
    ("stopped", "iterations", "is_told"),
    [(TIME_IS_UP, 1, True), (TIME_IS_UP, 2, False), ("it is enough", 1, False), ("", 4, False)],
)
def test_a_night_that_had_hardly_time_to_learn_says_so(
    tmp_path: Path, database: FeedbackDatabase, stopped: str, iterations: int, is_told: bool
) -> None:
    stages = _stages(database, tmp_path, NightBook(database).start("quick", 1, practice=False), [])
    stages.report |= {"ppo_stopped": stopped, "iterations": iterations}
    said = stages.practised_little()
    assert (f"PPO had time for {iterations} of 4 iterations, so" in said.en) is is_told
    assert bool(said.zh) is is_told


def _made(base: BaseModel, judgements: Judgements) -> Made:
    split = SplitModel(base, top_layers=2)
    metrics = measure([HeldOut(judgement, 0.3, 0.6) for judgement in judgements.all])
    models = [RewardModel(split, random_head(split, seed)) for seed in (0, 1)]
    fitted = FittedReward(models[0], metrics, models[1], metrics, 0.3, "head", ())
    rollouts = read_iterations([])
    return Made(Policy(split, seed=0), fitted, base, judgements, rollouts)


@pytest.mark.parametrize("changed", [True, False])
def test_a_champion_that_is_changed_by_hand_while_a_version_is_saved_stays(
    tmp_path: Path, database: FeedbackDatabase, base: BaseModel, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    registry, said = VersionRegistry(database), list[str]()
    stages = _stages(database, tmp_path, NightBook(database).start("quick", 1, practice=False), said)
    judgements = stages.judgements()
    stages.begin(judgements)
    by_hand = Version("v1", INITIAL, utc_now(), None, "base", "sha", VerdictKind.HELD)
    registry.add(by_hand, [])

    def save(*given: object) -> Version:
        saved = save_candidate(*given)  # type: ignore[arg-type]
        if changed and registry.champion().id == INITIAL:
            registry.promote("v1", "by the owner, in this very moment")
        return saved

    monkeypatch.setattr(night_stages, "save_candidate", save)
    better = Said("It is better.", "它更好。")
    version, verdict, reason = stages.save(_made(base, judgements), VerdictKind.PROMOTED, better)
    told = json.loads((tmp_path / "versions" / version / "report.json").read_text(encoding="utf-8"))
    assert registry.get(version).verdict == verdict == told["verdict"]
    assert told["reason"] == reason.en
    assert manifest_fault(tmp_path / "versions" / version) is None
    assert {path.name for path in (tmp_path / "versions").iterdir() if path.name[0] == "v"} == {version}
    if changed:
        assert (registry.champion().id, verdict, reason) == ("v1", VerdictKind.HELD, CHANGED_BY_HAND)
        assert registry.probations() == ()
        assert any("was compared with initial, and v1 answers now" in line for line in said)
    else:
        assert (registry.champion().id, verdict, reason) == (version, VerdictKind.PROMOTED, better)
        assert [each.version_id for each in registry.probations()] == [version]


def test_a_night_whose_folder_cannot_be_read_ends_with_a_report_that_says_so(
    tmp_path: Path, database: FeedbackDatabase
) -> None:
    book = NightBook(database)
    night_id = book.start("quick", 1, practice=True)
    book.finish(night_id, NightState.FAILED, None, "The night failed: a test", version_id=None, report={})
    work = NightWork(tmp_path / "versions", night_id)
    work.keep("seconds", {})
    (work.folder / "seconds.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        resume_night(_plan(tmp_path).settings, lambda text: None)
    last = book.last()
    assert last is not None
    assert last.state is NightState.FAILED
    assert "cannot be read" in last.reason
    assert last.report is not None
    assert last.report["reason"] == last.reason


def test_a_night_that_makes_a_version_anew_needs_enough_judgements_but_no_new_ones() -> None:
    assert Shortage(100.0, 0).missing == 20
    assert Shortage(100.0, 0, is_rebuild=True).missing == 0
    assert Shortage(34.0, 0, is_rebuild=True).missing == 10  # 6 more to train on, which 60 % are
