"""Bugs of the reward model: reading, fitting, the ladder, and what it is said to be worth."""

from tests.mutant import mutants_of

_reading = mutants_of("training/reading.py", "tests/test_reading.py")
_prefix = mutants_of("training/trunk.py", "tests/test_trunk.py", "-k", "prompts_read_first")
_trunk = mutants_of("training/trunk.py", "tests/test_trunk.py", "-k", "embedded_model_can_be_cut")
_model = mutants_of("training/reward_model.py", "tests/test_reward_model.py", "tests/test_reward_ladder.py")
_fit = mutants_of("training/reward_fit.py", "tests/test_reward_fit.py")
_design = mutants_of("training/design_matrix.py", "tests/test_reward_fit.py")
_of_axes = mutants_of("training/design_matrix.py", "tests/test_axes.py")
_axes = mutants_of("training/axes.py", "tests/test_axes.py")
_losses = mutants_of("training/losses.py", "tests/test_reward_fit.py", "-k", "derivatives")
_answers = mutants_of("training/judgements.py", "tests/test_reward_ladder.py", "-k", "only_the_end")
_ladder = mutants_of("training/reward_ladder.py", "tests/test_reward_ladder.py")
_lora = mutants_of("training/reward_lora.py", "tests/test_reward_lora.py")
_start = mutants_of("training/reward_start.py", "tests/test_reward_ladder.py", "-k", "layers_are_its_own")
_metrics = mutants_of("training/reward_metrics.py", "tests/test_reward_metrics.py")
_calibration = mutants_of("training/calibration.py", "tests/test_calibration.py")

REWARD_MUTANTS = (
    _reading(
        "pooled over prompt and padding",
        "sequences.unpack(sequences.at_responses(states).float()).sum(1)",
        "states.float().sum(1)",
    ),
    _reading("pooled one token early", "sequences.at_responses(states)", "sequences.at_responses(states, shift=-1)"),
    _reading(
        "pooled at the last prompt token",
        "sequences.at_responses(states).float()).sum(1)",
        "sequences.at_responses(states, shift=-1).float())[:, 0]",
    ),
    _reading("mean in place of sum", ".sum(1) / POOL_TOKENS", ".mean(1)"),
    _reading("texts of several widths read together", "if own != width or (", "if not groups or ("),
    _reading(
        "last token of each reply not read",
        "for answer in answers], [answer.token_ids for answer in answers]",
        "for answer in answers], [answer.token_ids[:-1] for answer in answers]",
    ),
    _reading(
        "replies of several widths read together",
        "_by(lambda index: padded_width(len(answers[index].token_ids)), indices)",
        "_by(lambda index: 0, indices)",
    ),
    _reading("prompts read again for each part", "if self._below_cut is None:", "if True:"),
    _reading("prompts read by the top again for each part", "if self._by_top is None:", "if True:"),
    _reading(
        "prompts whose states are kept read again",
        "self._kept_prompts() or self._read_below()",
        "self._read_below()",
    ),
    _ladder(
        "whole conversations read", "settled(judgements, now).after(effort.context_tokens)", "settled(judgements, now)"
    ),
    _ladder(
        "what is read of a conversation forgotten",
        "smoothing=smoothing), context=effort.context_tokens)",
        "smoothing))",
    ),
    _ladder(
        "exam texts read again for a LoRA",
        "read_texts(model.split, answers, refined.top, trunk=trunk)",
        "read_texts(model.split, answers, refined.top)",
    ),
    _reading(
        "room for states misjudged",
        "(length_of(answer) + beside) * self._split.size",
        "length_of(answer) * self._split.size",
    ),
    _model(
        "older heads read what they do not know",
        "return self.its(states).double() @ direction",
        "return states.double() @ direction",
    ),
    _ladder("an examiner not checked on labels that chose a LoRA", "else train + validation", "else train"),
    _ladder("labels that chose nothing thrown away", '"head", validation + exam', '"head", exam'),
    _ladder(
        "members learn the examiner's labels",
        "_better_members(table, train, ridge",
        "_better_members(table, train + validation, ridge",
    ),
    _ladder("labels that chose the LoRA examine it", '"lora", exam', '"lora", validation + exam'),
    _ladder(
        "the examiner's validation labels learned from",
        "    head = _head(table, train, ridge, effort)",
        "    head = _head(table, train + validation, ridge, effort)",
    ),
    _model("contexts not written", '"context": torch.tensor(head.context)', '"context": torch.tensor(512)'),
    _answers("beginning of a conversation read", "self.prompt_ids[-context:]", "self.prompt_ids[:context]"),
    _reading("any number of texts read at once", "    size = max(size, 1)\n", "    size = 1000\n"),
    _reading(
        "every reply read after the first prompt",
        "self._split.read_replies(prompts, of, self._ids(answers))",
        "self._split.read_replies(prompts, torch.zeros_like(of), self._ids(answers))",
    ),
    _prefix("a reply stands after its prompt's padding", "position_ids=lengths[:, None] +", "position_ids=width +"),
    _prefix("padding of prompts is attended to", "[None] < lengths[:, None]", "[None] <= lengths[:, None]"),
    _reading("cached states of another text", "self._end += raw.nbytes", "self._end += raw.nbytes // 2"),
    _model(
        "scores not centred", "(self.rewards(pooled) - self.offset) / self.spread", "self.rewards(pooled) / self.spread"
    ),
    _model(
        "scores not scaled", "(self.rewards(pooled) - self.offset) / self.spread", "self.rewards(pooled) - self.offset"
    ),
    _model(
        "the policy's states for a LoRA cut elsewhere", "if self.split is policy else", "if self.split is not None else"
    ),
    _model(
        "a LoRA judges by the base's states", "if self.adapter_top is None and self.split.base", "if self.split.base"
    ),
    _model(
        "a head reads what the policy has read",
        "if self.adapter_top is None and self.split.base is policy.base:",
        "if False:",
    ),
    _model(
        "any head reads the policy's base",
        "self.adapter_top is None and self.split.base is policy.base",
        "self.adapter_top is None",
    ),
    _start("the reward model's layers are the policy's", "if is_cut_there else", "if split else"),
    _start("a report's own layers not read", 'report.get("reward_layers", report', "(report"),
    _model(
        "doubt added in place of taken off",
        "self.head.scores(pooled) - self.doubt(pooled)",
        "self.head.scores(pooled) + self.doubt(pooled)",
    ),
    _model(
        "token shares on another scale",
        "self.weight / self.scale / POOL_TOKENS / self.spread",
        "self.weight / self.scale / POOL_TOKENS",
    ),
    _model(
        "mean of the features not taken off",
        "features.dot(direction) - self.mean @ direction",
        "features.dot(direction)",
    ),
    _model("constant forgets the offset", "@ self.weight - self.offset) / self.spread", "@ self.weight) / self.spread"),
    _model("usual doubt shifts the mean", "model.head.offset - usual_doubt * model.head.spread", "model.head.offset"),
    _design("one chunk's spread", "squares = sum(", "squares = max("),
    _design("features not centred", "rows -= mean", "rows -= 0.0 * mean"),
    _design("features not scaled", "rows /= scale", "rows /= 1.0"),
    _design(
        "only half of the span fitted",
        "basis, coordinates = torch.linalg.qr(rows.T)",
        "basis, coordinates = (part[where] for part, where in zip(torch.linalg.qr(rows.T), "
        "((slice(None), slice(None, None, 2)), slice(None, None, 2))))",
    ),
    _design("what is fitted not turned back", "else self.basis @ own)", "else self.basis @ own.flip(0))"),
    _design(
        "mean not taken off the gradient of many",
        "(self.table.weighted_sum(gradient) - gradient.sum() * self.mean) / self.scale",
        "self.table.weighted_sum(gradient) / self.scale",
    ),
    _of_axes("axes not added into the head", "+ along @ self.axes\n", "+ 0.0 * along @ self.axes\n"),
    _of_axes("axes of any length", "return axes * length[:, None]", "return axes"),
    _of_axes("each axis as long as all features", "axes.shape[1] / max(len(axes), 1)", "axes.shape[1]"),
    _of_axes(
        "an axis nobody differs along stretched",
        "torch.where(spread > LEAST_SCALE, math",
        "torch.where(spread >= 0.0, math",
    ),
    _of_axes(
        "features nobody differs in make an axis", "torch.where(scale > LEAST_SCALE, axes / scale, 0.0)", "axes / scale"
    ),
    _of_axes("axes over raw features", "axes / scale, 0.0)", "axes, 0.0)"),
    _of_axes("a head told in a longer way than it was fitted", "weight - along @ axes, along", "weight, 0.0 * along"),
    _of_axes("axes without a gradient where texts are many", "self.axes @ own])", "0.0 * self.axes @ own])"),
    _axes("more and less swapped", "per_token[0::2] - per_token[1::2]", "per_token[1::2] - per_token[0::2]"),
    _axes("long texts count more", "* POOL_TOKENS / lengths[:, None]", "* POOL_TOKENS / lengths.mean()"),
    _axes("no axis of length", "per_token.mean(0)])", "0.0 * per_token.mean(0)])"),
    mutants_of("training/reward_ladder.py", "tests/test_reward_ladder.py")(
        "a night fits without axes", "_Table(features.along(axes_of(split)), {", "_Table(features, {"
    ),
    mutants_of("training/reward_fit.py", "tests/test_axes.py")(
        "ridge of many chosen without axes", ".along(table.axes)", ""
    ),
    _trunk(
        "replies read elsewhere not noticed",
        "one[:, PROBED_AS_PROMPT:]) > OF_ROUNDING",
        "one[:, PROBED_AS_PROMPT:]) > 1e9 * OF_ROUNDING",
    ),
    _trunk("rounding in bfloat16 taken for another model", "torch.bfloat16: 0.07", "torch.bfloat16: 1e-3"),
    _fit(
        "judgements of other texts", "batch, counts = batch.at(design.place), design.counts", "counts = design.counts"
    ),
    _fit(
        "leniency with the wrong sign",
        "delta + leniency[batch.thumb_person] if",
        "delta - leniency[batch.thumb_person] if",
    ),
    _fit(
        "leniency ignored in predictions",
        "known = [head.leniency.get(thumb.person, 0.0)",
        "known = [0.0 * len(thumb.person)",
    ),
    _fit(
        "threshold with the wrong sign",
        "return head.delta + torch.tensor(known",
        "return -head.delta + torch.tensor(known",
    ),
    _fit(
        "threshold of thumbs not fitted",
        "delta + leniency[batch.thumb_person] if leniency is not None and batch.people else delta",
        "0.0 * delta",
    ),
    _fit(
        "smoothing of pairs ignored",
        "pair_losses(d, batch.outcome, log_nu, smoothing)).sum()",
        "pair_losses(d, batch.outcome, log_nu, 0.0)).sum()",
    ),
    _fit(
        "smoothing of thumbs ignored",
        "thumb_losses(rewards[batch.thumb], batch.is_up, turns, smoothing)",
        "thumb_losses(rewards[batch.thumb], batch.is_up, turns, 0.0)",
    ),
    _fit("many judgements smoothed more", "judgements.effective() < MANY", "judgements.effective() > MANY"),
    _fit("weights of pairs ignored", "(batch.pair_weight * pair_losses(", "(pair_losses("),
    _fit("weights of thumbs ignored", "(batch.thumb_weight * thumb_losses(", "(thumb_losses("),
    _fit(
        "weights ignored in the mean log-loss",
        "sum(held.judgement.weight * held.loss for",
        "sum(weight / len(predicted) * held.loss for",
    ),
    _fit("rewards not centred", " + (centring * rewards.square()).sum()", ""),
    _fit("no ridge", " + ridge * weight\n", "\n"),
    _fit("gradient of the centring forgotten", "by_reward + 2 * centring * rewards", "by_reward"),
    _losses("gradient of pairs unsmoothed", "(1 - smoothing) * left + smoothing * right", "left"),
    _losses("gradient of ties by log nu of the wrong sign", "p[:, TIE] - tie", "tie - p[:, TIE]"),
    _losses(
        "gradient of thumbs unsmoothed", "(smoothing + (1 - 2 * smoothing) * is_up.to(r.dtype))", "is_up.to(r.dtype)"
    ),
    _fit(
        "gradient of leniency of the wrong sign",
        "batch.thumb_person, by_thumb, alpha=-1",
        "batch.thumb_person, by_thumb",
    ),
    _fit("ties counted as wins of the right", "Preferred.TIE: TIE}", "Preferred.TIE: RIGHT}"),
    _fit(
        "folds cut through conversations",
        "(fold_of[judgement.component] == fold) == inside",
        "(ord(judgement.source[1][-1]) % folds == fold) == inside",
    ),
    _fit(
        "folds foretold by what they were fitted to",
        "(part(fold, False), part(fold, True))",
        "(judgements, part(fold, True))",
    ),
    _fit("the worst ridge is taken", "best = min(RIDGES", "best = max(RIDGES"),
    _fit("ridge of a sample not scaled to all", "    ridge *= len(some) / len(judgements)", "    ridge *= 1.0"),
    _ladder(
        "examiner trained on train labels",
        "head = _head(table, labels, ridge, effort)",
        "head = _head(table, others + labels, ridge, effort)",
    ),
    _ladder(
        "examiner's ridge chosen on train labels",
        "ridge, out_of_fold = cross_validate(features, labels, row_of)",
        "ridge, out_of_fold = cross_validate(features, others, row_of)",
    ),
    _ladder("folds fitted to train labels", "cross_fit(features, labels, row_of", "cross_fit(features, others, row_of"),
    _ladder(
        "reward model trained on exam labels",
        "    head = _head(table, train, ridge, effort)",
        "    head = _head(table, train + exam, ridge, effort)",
    ),
    _ladder(
        "reward model checked on what it was fitted to",
        "held = [*out_of_fold, *predict(features, model.head, asked, row_of)]",
        "held = predict(features, model.head, train + asked, row_of)",
    ),
    _ladder(
        "examiner checked on what it was fitted to",
        "held = [*out_of_fold, *predict(features, head, others, row_of)]",
        "held = [*predict(features, head, labels, row_of), *predict(features, head, others, row_of)]",
    ),
    _ladder(
        "distrusted people counted",
        "return capped(weighed.where(lambda judgement: judgement.weight > 0.0)), distrusted",
        "return capped(judgements), distrusted",
    ),
    _ladder(
        "shares not bounded once people are weighed",
        "return capped(weighed.where(lambda judgement: judgement.weight > 0.0)), distrusted",
        "return weighed.where(lambda judgement: judgement.weight > 0.0), distrusted",
    ),
    _ladder("weights by age and copies left out", "settled(judgements, now).after", "judgements.after"),
    _ladder(
        "LoRA chosen on the exam",
        "ridge, train, validation, features, row_of",
        "ridge, train, validation + exam, features, row_of",
    ),
    _ladder("scores not normalised", "model=model.normalised(initial)", "model=model"),
    _lora(
        "weights of judgements ignored between steps",
        "        share = sum(judgement.weight for judgement in chosen) / (BATCH * usual)",
        "        share = 1.0",
    ),
    _lora(
        "pairs of one ranking in several steps",
        "found[judgement.source].append(judgement)",
        "found[judgement.source + (str(id(judgement)),)].append(judgement)",
    ),
    _lora("always kept", "if losses[best] > losses[0] - LEAST_GAIN:", "if losses[best] > losses[0] + 1000:"),
    _lora(
        "kept where it is worse",
        "if losses[best] > losses[0] - LEAST_GAIN:",
        "if losses[best] < losses[0] - LEAST_GAIN:",
    ),
    _lora("the last look taken for the best", "best = min(range(len(losses)), key=losses.__getitem__)", "best = -1"),
    _lora("no patience", ">= patience", ">= 1000"),
    _lora("one fifth held out of few judgements", "FOLDS if train.effective() < FEW else 1", "1"),
    _lora("steps of the trial not scaled to all acts", "* len(_acts(train)))", "* trials[0].acts)"),
    _lora("no warm-up", "min((step + 1) / WARM_UP, 1.0)", "1.0"),
    _lora(
        "tried on what it is judged by",
        "judgements.where(lambda judgement: judgement.component not in components)",
        "judgements",
    ),
    _lora("LoRA trained without the mean taken off", "double() - head.mean) @ direction", "double()) @ direction"),
    _lora("head's scale left out", "direction = head.weight / head.scale", "direction = head.weight"),
    _lora("trained without smoothing", "thresholds(head, part), smoothing)", "thresholds(head, part), 0.0)"),
    _lora(
        "thumbs turned at zero",
        "head.log_nu, thresholds(head, part), smoothing",
        "head.log_nu, 0 * thresholds(head, part), smoothing",
    ),
    _calibration("Brier without the square", "(chance(margin) - came_true) ** 2", "abs(chance(margin) - came_true)"),
    _calibration(
        "calibration of the left side",
        "(chance(abs(margin)), came_true == (margin >= 0))",
        "(chance(margin), came_true)",
    ),
    _calibration(
        "faults of bins cancel",
        "error += abs(sum(p - came[p] for p, _ in part))",
        "error += sum(p - came[p] for p, _ in part)",
    ),
    _calibration("temperature upside down", "scale = math.exp(-log_t)", "scale = math.exp(log_t)"),
    _calibration("temperature with the greatest loss", "if loss(left) < loss(right)", "if loss(left) > loss(right)"),
    _calibration("ties of ranks in order of appearance", "(start + stop) / 2 + 1", "place + 1"),
    _calibration("few forecasts are enough for bins", "if len(forecasts) < LEAST_FOR_BINS:", "if not forecasts:"),
    _metrics(
        "all pairs of a ranking are trials", 'if kind == "ranking" else len(found)', "if not kind else len(found)"
    ),
    _metrics("corrections open the gate", 'TOO_EASY = "correction"', 'TOO_EASY = "nothing"'),
    _metrics("no margin is right for one side", "return 0.5 if margin == 0.0 else float(", "return float("),
    _metrics("ties are decided pairs", "return None if judgement.preferred is Preferred.TIE else (", "return ("),
    _metrics("gate without the lower bound", " or metrics.accuracy_low <= 0.5:", ":"),
    _metrics("gate without the accuracy", "if metrics.accuracy < bar.accuracy or metrics", "if metrics"),
    _metrics("gate without the log-loss", "metrics.guess_log_loss - bar.guess_gain:", "metrics.guess_log_loss + 100:"),
    _metrics(
        "gate without the log-loss of pairs",
        "metrics.pairs_log_loss > math.log(2) - bar.log_loss_gain:",
        "metrics.pairs_log_loss > math.log(2) + 100:",
    ),
    _metrics(
        "pairs at the scale they are told in",
        "chance(m / temperature if up else -m / temperature)",
        "chance(m if up else -m)",
    ),
    _metrics(
        "pairs not weighed", "weights = [entry.judgement.weight for entry in pairs]", "weights = [1.0 for _ in pairs]"
    ),
    _metrics("gate without the thumbs", "elif metrics.thumbs_auc < bar.thumbs_auc:", "elif metrics.thumbs_auc < 0:"),
    _metrics("equal thumbs count as right", "(up > down) + 0.5 * (up == down)", "(up > down) + (up == down)"),
    _metrics(
        "the shorter reply wins",
        "(len(pair.left.token_ids) > len(pair.right",
        "(len(pair.left.token_ids) < len(pair.right",
    ),
    _metrics("guessing knows no ties", "_entropy_sum(tie_weight, pair_weight) + ", ""),
)
