"""The whole fit: who trains on what, which rung is used, and a model that is read back as it was."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training_fixtures import random_answers, tiny_base
from training import reward_ladder
from training.axes import axes_of
from training.effort import EFFORTS
from training.ensemble import average, fit_members
from training.features import Features
from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.reward_fit import HeldOut, fit_head, make_batch, smoothing_of
from training.reward_folder import load_reward_model, save_reward_model
from training.reward_ladder import FittedReward, fit_reward
from training.reward_lora import Refinement
from training.reward_metrics import RewardMetrics
from training.reward_model import RewardModel, pooled_states
from training.reward_start import layers_of, reward_split
from training.split import Side, hashed_side
from training.trunk import SplitModel
from training.weights import SHARE_OF_ONE, SHARES_OF_FEW, masses

NOW = "2026-01-01T00:00:00+00:00"
ANSWERS = random_answers(240)
FLIPPED = {Preferred.LEFT: Preferred.RIGHT, Preferred.RIGHT: Preferred.LEFT}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitModel:
    return SplitModel(tiny_base(tmp_path_factory.mktemp("tiny")), top_layers=2)


def _judgements(flip: Side | None = None) -> Judgements:
    """The longer reply is preferred, or on one side the shorter one."""
    pairs = []
    for number, (left, right) in enumerate(zip(ANSWERS[::2], ANSWERS[1::2], strict=True)):
        side = hashed_side(str(number))
        preferred = Preferred.LEFT if len(left.token_ids) > len(right.token_ids) else Preferred.RIGHT
        preferred = FLIPPED[preferred] if side is flip else preferred
        pairs.append(PairJudgement(left, right, preferred, 1.0, str(number), side, ("duel", str(number))))
    return Judgements(tuple(pairs), ())


def _fitted(split: SplitModel, judgements: Judgements, effort: str = "quick", **changes: int) -> FittedReward:
    return fit_reward(
        split, judgements, ANSWERS[:40], replace(EFFORTS[effort], **changes),
        now=NOW, seed=0, say=lambda text: None, progress=lambda share, what: None,
    )  # fmt: skip


def test_the_examiner_knows_nothing_of_the_training_labels_nor_the_reward_model_of_the_exams(split: SplitModel) -> None:
    plain = _fitted(split, _judgements())
    other_training, other_exam = _fitted(split, _judgements(Side.TRAIN)), _fitted(split, _judgements(Side.EXAM))
    probe = ANSWERS[:30]
    assert torch.equal(other_training.examiner.scores(probe), plain.examiner.scores(probe))
    assert not torch.equal(other_training.model.scores(probe), plain.model.scores(probe))
    assert torch.equal(other_exam.model.scores(probe), plain.model.scores(probe))
    assert not torch.equal(other_exam.examiner.scores(probe), plain.examiner.scores(probe))


def test_the_examiner_is_fitted_again_without_each_fold_of_its_labels(split: SplitModel) -> None:
    judgements = _judgements()
    fitted = _fitted(split, judgements)
    its = judgements.on(Side.VALIDATION, Side.EXAM)
    assert set(fitted.examiner_folds.fold_of) == {pair.component for pair in its.pairs}
    pooled = pooled_states(split, ANSWERS[:40])
    assert len(fitted.examiner_folds.heads) == 5
    for head in (fitted.examiner.head, *fitted.examiner_folds.heads):
        scores = head.scores(pooled)
        assert float(scores.mean()) == pytest.approx(0.0, abs=1e-6)
        assert float(scores.std(correction=0)) == pytest.approx(1.0, abs=1e-6)
    other = _fitted(split, _judgements(Side.TRAIN)).examiner_folds
    assert torch.equal(other.heads[0].scores(pooled), fitted.examiner_folds.heads[0].scores(pooled))


def test_a_lora_is_trained_and_chosen_on_the_sides_for_that(split: SplitModel, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Judgements] = []

    def refine(split: object, head: object, ridge: float, *judgements: Judgements, **how: object) -> None:
        given.extend(judgements[:2])

    monkeypatch.setattr(reward_ladder, "refine", refine)
    _fitted(split, _judgements())
    assert [{judgement.side for judgement in each.all} for each in given] == [{Side.TRAIN}, {Side.VALIDATION}]


def test_the_examiner_has_the_labels_that_chose_no_lora_and_not_those_that_did(
    split: SplitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = ANSWERS[:30]
    margins: list[list[float]] = []
    measured = reward_ladder.measure

    def measure(held: Sequence[HeldOut]) -> RewardMetrics:
        margins.append([entry.margin for entry in held if entry.judgement.side is Side.VALIDATION])
        return measured(held)

    monkeypatch.setattr(reward_ladder, "measure", measure)
    plain, other = (_fitted(split, _judgements(flip), lora_epochs=0) for flip in (None, Side.VALIDATION))
    assert plain.rung == other.rung == "head"
    assert torch.equal(plain.model.scores(probe), other.model.scores(probe))
    assert not torch.equal(plain.examiner.scores(probe), other.examiner.scores(probe))
    assert len(margins[0]) > 5
    assert margins[0] == margins[2]  # those of the reward model, which did not learn them
    adapter, top = split.adapter()
    read: list[Tensor] = []
    real = split.read_prompts

    def refine(*given: object, **how: object) -> Refinement:
        read.clear()
        return Refinement(adapter, top, [])

    monkeypatch.setattr(split, "read_prompts", lambda ids, lengths: read.append(lengths) or real(ids, lengths))
    monkeypatch.setattr(reward_ladder, "refine", refine)
    margins.clear()
    plain, other = (_fitted(split, _judgements(flip)) for flip in (None, Side.VALIDATION))
    assert plain.rung == other.rung == "lora"
    # What is read below the cut afterwards are the 40 replies that scores are told by, for either model.
    assert sum(map(len, read)) == 2 * len({answer.prompt_ids for answer in ANSWERS[:40]})
    assert torch.equal(plain.model.scores(probe), other.model.scores(probe))
    assert torch.equal(plain.examiner.scores(probe), other.examiner.scores(probe))
    assert len(margins[1]) == len(margins[3]) > 5  # of the examiner: they are held out of its fit
    exams = _judgements().on(Side.EXAM).all
    assert set(plain.examiner_folds.fold_of) == {judgement.component for judgement in exams}


def test_members_learn_no_label_of_the_examiner_either(split: SplitModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reward_ladder, "is_better", lambda held_out, of_one: True)
    probe = ANSWERS[:30]
    plain, other, exam = (
        _fitted(split, _judgements(flip), lora_epochs=0, members=2) for flip in (None, Side.VALIDATION, Side.EXAM)
    )
    assert plain.rung == "ensemble"
    for changed in (other, exam):
        assert torch.equal(plain.model.scores(probe), changed.model.scores(probe))
        assert not torch.equal(plain.examiner.scores(probe), changed.examiner.scores(probe))
    its = _judgements().on(Side.VALIDATION, Side.EXAM)
    assert set(plain.examiner_folds.fold_of) == {judgement.component for judgement in its.all}


def test_all_judgements_are_checked_by_a_model_that_was_not_trained_on_them(split: SplitModel) -> None:
    fitted = _fitted(split, _judgements(), lora_epochs=0)
    assert fitted.rung == "head"
    assert fitted.metrics.pairs == fitted.examiner_metrics.pairs == 120
    assert fitted.metrics.accuracy is not None
    assert fitted.metrics.accuracy > 0.6  # from 72 pairs; a coin gives more than that once in a hundred times


def test_scores_are_told_on_the_scale_of_the_initial_models_replies(split: SplitModel) -> None:
    scores = _fitted(split, _judgements()).model.scores(ANSWERS[:40])
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(scores.std(correction=0)) == pytest.approx(1.0, abs=1e-6)


def test_a_night_fits_its_head_with_the_axes_of_its_model(split: SplitModel) -> None:
    judgements = _judgements()
    answers = judgements.answers()
    fitted = _fitted(split, judgements)
    assert fitted.rung == "head"
    known = judgements.on(Side.TRAIN)
    batch = make_batch(known, {answer: row for row, answer in enumerate(answers)})
    features = Features.of(pooled_states(split, answers))
    with_axes, without = (
        fit_head(table, batch, fitted.ridge, smoothing=smoothing_of(known)).weight
        for table in (features.along(axes_of(split)), features)
    )
    torch.testing.assert_close(fitted.model.head.weight, with_axes, atol=1e-3, rtol=1e-2)
    assert not torch.allclose(with_axes, without, atol=1e-3, rtol=1e-2)


def test_the_average_of_heads_gives_the_mean_of_their_rewards(split: SplitModel) -> None:
    judgements = _judgements()
    answers = judgements.answers()
    row_of = {answer: row for row, answer in enumerate(answers)}
    features = Features.of(pooled_states(split, answers))
    heads = fit_members(features, judgements, row_of, 0.3, count=3, seed=0)
    assert len({float(head.rewards(features)[0]) for head in heads}) == 3
    mean = torch.stack([head.rewards(features) for head in heads]).mean(0)
    torch.testing.assert_close(average(heads).rewards(features), mean)


def test_what_the_members_disagree_about_is_taken_off_and_the_folder_is_read_back_alike(
    split: SplitModel, tmp_path: Path
) -> None:
    judgements = _judgements()
    row_of = {answer: row for row, answer in enumerate(judgements.answers())}
    features = Features.of(pooled_states(split, judgements.answers()))
    heads = fit_members(features, judgements, row_of, 0.3, count=3, seed=0)
    model = RewardModel(split, average(heads), members=heads).normalised(ANSWERS[:40])
    pooled = pooled_states(split, ANSWERS[:10])
    members = torch.stack([member.scores(pooled) for member in model.members])
    expected = model.head.scores(pooled) - members.var(0, correction=0)
    torch.testing.assert_close(model.scores(ANSWERS[:10]), expected)
    save_reward_model(model, tmp_path)
    assert torch.equal(load_reward_model(tmp_path, split).scores(ANSWERS[:10]), model.scores(ANSWERS[:10]))


def test_only_the_end_of_a_conversation_is_read_in_the_fit_and_ever_after(split: SplitModel, tmp_path: Path) -> None:
    def begun_earlier(answer: Answer) -> Answer:
        return replace(answer, prompt_ids=(*range(50, 90), *answer.prompt_ids))

    context = min(len(answer.prompt_ids) for answer in ANSWERS)
    longer = Judgements(
        tuple(
            replace(pair, left=begun_earlier(pair.left), right=begun_earlier(pair.right))
            for pair in _judgements().pairs
        ),
        (),
    )
    probe = ANSWERS[:10]
    plain, other = (_fitted(split, each, lora_epochs=0, context_tokens=context) for each in (_judgements(), longer))
    for one, two in ((plain.model, other.model), (plain.examiner, other.examiner)):
        assert torch.equal(one.scores(probe), two.scores(probe))
        assert torch.equal(one.scores(probe), one.scores([begun_earlier(answer) for answer in probe]))
    save_reward_model(plain.model, tmp_path)
    read = load_reward_model(tmp_path, split)
    assert torch.equal(read.scores([begun_earlier(answer) for answer in probe]), plain.model.scores(probe))
    whole = _fitted(split, _judgements(), lora_epochs=0).model
    assert not torch.equal(whole.scores(probe), whole.scores([begun_earlier(answer) for answer in probe]))


def test_a_lora_is_read_back_alike(split: SplitModel, tmp_path: Path) -> None:
    judgements = _judgements()
    row_of = {answer: row for row, answer in enumerate(judgements.answers())}
    head = fit_head(pooled_states(split, judgements.answers()), make_batch(judgements, row_of), 0.3)
    adapter, top = split.adapter()
    with torch.no_grad():
        for name, weight in adapter.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    model = RewardModel(split, head, adapter, top)
    save_reward_model(model, tmp_path)
    assert not torch.equal(model.scores(ANSWERS[:10]), RewardModel(split, head).scores(ANSWERS[:10]))
    assert torch.equal(load_reward_model(tmp_path, split).scores(ANSWERS[:10]), model.scores(ANSWERS[:10]))


def test_from_scratch_the_top_is_drawn_anew_and_the_base_stays_as_it_was(split: SplitModel, tmp_path: Path) -> None:
    before = pooled_states(split, ANSWERS[:5])
    scratch, again = (reward_split(split, "scratch", tmp_path, seed=3, layers=2) for _ in range(2))
    assert torch.equal(pooled_states(scratch, ANSWERS[:5]), pooled_states(again, ANSWERS[:5]))
    assert not torch.equal(pooled_states(scratch, ANSWERS[:5]), before)
    assert torch.equal(pooled_states(split, ANSWERS[:5]), before)
    ids = torch.tensor([list(range(3, 35))])
    assert torch.equal(scratch.trunk(ids), split.trunk(ids))


def test_a_reward_models_layers_are_its_own_and_reports_without_them_tell_the_policys(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path, layers=6), top_layers=5)
    own = reward_split(split, "base", tmp_path, seed=3)
    assert (own.base, own.top_layers, split.top_layers) == (split.base, 4, 5)
    assert reward_split(own, "base", tmp_path, seed=3) is own
    assert reward_split(split, "base", tmp_path, seed=3, layers=5) is split
    assert reward_split(split, "scratch", tmp_path, seed=3).top_layers == 4
    few = SplitModel(tiny_base(tmp_path / "few", layers=2), top_layers=20)
    assert reward_split(few, "base", tmp_path, seed=3) is few
    assert layers_of({"lora_layers": 20, "reward_layers": 4}) == 4
    assert layers_of({"lora_layers": 2}) == 2
    assert layers_of({}) == 8


def _by_coin(judgements: Judgements, *sides: Side, seed: int = 1) -> Judgements:
    """Labels of these sides drawn by a coin: nothing to learn, so another ridge is best."""
    coin = torch.randint(2, (len(judgements.pairs),), generator=torch.Generator().manual_seed(seed)).tolist()
    labels = [(Preferred.LEFT, Preferred.RIGHT)[drawn] for drawn in coin]
    pairs = zip(judgements.pairs, labels, strict=True)
    return Judgements(tuple(replace(p, preferred=label) if p.side in sides else p for p, label in pairs), ())


def test_no_choice_of_the_examiners_fit_depends_on_training_labels_nor_the_reward_models_on_exam_labels(
    split: SplitModel,
) -> None:
    # Turning all labels round leaves the best ridge as it is; labels by a coin do not.
    plain, probe = _fitted(split, _judgements(), lora_epochs=0), ANSWERS[:30]
    other = _fitted(split, _by_coin(_judgements(), Side.TRAIN), lora_epochs=0)
    assert other.ridge != plain.ridge
    assert torch.equal(other.examiner.scores(probe), plain.examiner.scores(probe))
    other = _fitted(split, _by_coin(_judgements(), Side.VALIDATION, Side.EXAM), lora_epochs=0)
    assert other.ridge == plain.ridge
    assert torch.equal(other.model.scores(probe), plain.model.scores(probe))
    assert not torch.equal(other.examiner.scores(probe), plain.examiner.scores(probe))


def test_labels_by_a_coin_are_foretold_by_neither_model(split: SplitModel) -> None:
    # Three times 120 pairs, each checked by a fit that did not see it; a fit that did is right about far more of them.
    fitted = [_fitted(split, _by_coin(_judgements(), *Side, seed=seed), lora_epochs=0) for seed in range(3)]
    for found in ([each.metrics.accuracy for each in fitted], [each.examiner_metrics.accuracy for each in fitted]):
        assert sum(accuracy or 0.0 for accuracy in found) / 3 < 0.6


def _turned(judgements: Judgements, people: tuple[str, ...], side: Side) -> Judgements:
    pairs = [(p, p.person in people and p.side is side) for p in judgements.pairs]
    return Judgements(tuple(replace(p, preferred=FLIPPED[p.preferred]) if turn else p for p, turn in pairs), ())


def test_what_the_distrusted_judged_is_not_fitted(split: SplitModel) -> None:
    pairs = _judgements().pairs
    everybody = Judgements(tuple(replace(p, person=f"p{n % 6}") for n, p in enumerate(pairs)), ())
    everybody = _turned(everybody, ("p0", "p1"), Side.TRAIN)
    fitted = _fitted(split, everybody, lora_epochs=0)
    assert 0 < len(fitted.distrusted) < 6
    trusted = next(f"p{n}" for n in range(6) if f"p{n}" not in fitted.distrusted)
    ignored, felt = (
        _fitted(split, _turned(everybody, people, Side.EXAM), lora_epochs=0)
        for people in (fitted.distrusted, (trusted,))
    )
    probe = ANSWERS[:30]
    assert torch.equal(ignored.examiner.scores(probe), fitted.examiner.scores(probe))
    assert not torch.equal(felt.examiner.scores(probe), fitted.examiner.scores(probe))


def test_old_judgements_count_less_in_the_fit(split: SplitModel) -> None:
    pairs = _judgements().pairs
    aged = tuple(replace(p, created_at="2025-01-01T00:00:00+00:00") if n % 2 else p for n, p in enumerate(pairs))
    new, old = (_fitted(split, Judgements(each, ()), lora_epochs=0) for each in (pairs, aged))
    assert not torch.equal(old.model.scores(ANSWERS[:30]), new.model.scores(ANSWERS[:30]))


def test_nobody_carries_more_than_the_allowed_share_also_after_people_were_weighed(split: SplitModel) -> None:
    # ann gave 80 of 120 judgements, four others 10 each, all of one mind: among five the allowed share is 1.5 / 5.
    people = ["ann"] * 80 + [name for name in ("bob", "cat", "dan", "eve") for _ in range(10)]
    pairs = zip(_judgements().pairs, people, strict=True)
    judgements = Judgements(tuple(replace(pair, person=person) for pair, person in pairs), ())
    table = reward_ladder._read(split, judgements, lambda share, what: None)
    weighed, distrusted = reward_ladder._trusted(table, judgements, lambda text: None)
    assert "ann" not in distrusted
    mass = masses(weighed.on(Side.TRAIN))
    share = max(SHARE_OF_ONE, SHARES_OF_FEW / len(mass))
    assert masses(judgements.on(Side.TRAIN))["ann"] > share * len(judgements.on(Side.TRAIN))
    assert mass["ann"] <= share * sum(mass.values()) + 1e-9
