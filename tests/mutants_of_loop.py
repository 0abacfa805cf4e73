"""Bugs of PPO's loop: rollouts, what tokens are worth, the update, checkpoints, the rules that stop a night."""

from tests.mutant import mutants_of

_rollout = mutants_of("training/rollout.py", "tests/test_ppo.py", "tests/test_episodes.py")
_episodes = mutants_of("training/episodes.py", "tests/test_episodes.py", "tests/test_ppo.py")
_update = mutants_of("training/ppo_update.py", "tests/test_ppo.py", "tests/test_invariants.py")
_shortening = mutants_of("training/shortening.py", "tests/test_shortening.py")
_lengthening = mutants_of("training/lengthening.py", "tests/test_lengthening.py")
_stages = mutants_of("training/night_stages.py", "tests/test_night_stages.py")
_whole = mutants_of("training/night_stages.py", "tests/test_whole_night.py", "-k", "layers_beside")
_loop = mutants_of("training/ppo.py", "tests/test_ppo.py", "tests/test_learner.py", "tests/test_steps.py")
_learner_beta = mutants_of("training/learner.py", "tests/test_ppo.py", "-k", "penalty_falls")
_moved = mutants_of("training/learner.py", "tests/test_ppo.py", "-k", "told_from_where_it_began")
_taken_back = mutants_of("training/learner.py", "tests/test_ppo.py", "-k", "taken_back")
_learner = mutants_of("training/learner.py", "tests/test_learner.py")
_learner_steps = mutants_of("training/learner.py", "tests/test_steps.py")
_update_steps = mutants_of("training/ppo_update.py", "tests/test_steps.py")
_gradients = mutants_of("training/gradients.py", "tests/test_steps.py")
_rules = mutants_of("training/invariants.py", "tests/test_invariants.py")
_ptx = mutants_of("training/ptx.py", "tests/test_ptx.py")
_critic = mutants_of("training/critic.py", "tests/test_ppo.py")
_baseline = mutants_of("training/advantages.py", "tests/test_episodes.py")

LOOP_MUTANTS = (
    _rollout(
        "old without the temperature",
        "policy.logps_and_entropy(trunk, sequences, drawing.temperature)",
        "policy.logps_and_entropy(trunk, sequences, 1.0)",
    ),
    _rollout(
        "reference without the temperature",
        "reference_logps_and_ends(split, base_states, sequences, drawing.temperature)",
        "reference_logps_and_ends(split, base_states, sequences, 1.0)",
    ),
    _rollout(
        "the reference is the policy",
        "reference=reference,",
        "reference=old,",
    ),
    _rollout("scores not cut off", "judged.scores.clamp(-SCORE_LIMIT, SCORE_LIMIT)", "judged.scores"),
    _rollout("finished is not finished", "answer.token_ids[-1] in split", "answer.token_ids[-1] not in split"),
    _rollout(
        "critic sees the token it is to value",
        "sequences.at_responses(base_states, shift=-1)",
        "sequences.at_responses(base_states)",
    ),
    _episodes("drift is told from the policy itself", "k1(group.old, group.reference)", "k1(group.old, group.old)"),
    _episodes("an end is fined", "(~finished).float()", "finished.float()"),
    _episodes("advantages not whitened", "    advantages = whiten(advantages, mask)\n", ""),
    _episodes("the constant rewards an early end", "token_rewards(kl, scores - constant,", "token_rewards(kl, scores,"),
    _episodes("old values carry a gradient", "@torch.no_grad()\ndef old_values", "def old_values"),
    _episodes("dense credit with a head start", "if settings.credit is Credit.END else torch.zeros_like(running)", ""),
    _episodes(
        "compared with the whole reply from every place",
        "compared = returns if settings.credit is Credit.DENSE else returns[:, :1]",
        "compared = returns[:, :1]",
    ),
    _baseline(
        "a reply is compared with itself too", "(totals[index] - values) / others", "totals[index] / (others + 1)"
    ),
    _baseline("shares paid twice", "        scores = scores - shares.sum(1)\n", ""),
    _update(
        "the optimiser lacks the critic",
        "        learner.critic_optimiser.step()\n    return figures",
        "    return figures",
    ),
    _update("the policy's optimiser does not step", "    learner.policy_optimiser.step()\n", ""),
    _update("gradients pile up", "    learner.policy_optimiser.zero_grad()\n", ""),
    _update("the ratio is never checked", "first=steps == 0)", "first=False)"),
    _update("ptx as long as it likes", "mul_(min(1.0, longest / max(own, 1e-12)))", "mul_(1.0)"),
    _update("ptx in place of the reward", ".add_(gradient)", ""),
    _update("ptx pushes away", "settings.ptx * loss", "-settings.ptx * loss"),
    _update(
        "new without the temperature",
        "learner.policy.logps_and_ends(group.trunk, group.sequences, settings.drawing.temperature)",
        "learner.policy.logps_and_ends(group.trunk, group.sequences, 1.0)",
    ),
    _update("ends are not kept", "loss + settings.ends_kept * of_ends", "loss"),
    _update("ends are pushed away", "loss + settings.ends_kept * of_ends", "loss - settings.ends_kept * of_ends"),
    _update("epochs never end early", "if moved > settings.k3_limit:", "if moved > 1e9:"),
    _episodes("loops are free", "scores - settings.loop_penalty *", "scores - 0.0 *"),
    _episodes("loops are paid for", "scores - settings.loop_penalty *", "scores + settings.loop_penalty *"),
    _loop("endings free at first", "penalty = step = settings", "penalty, step = 0.0, settings"),
    _loop("endings never charged", "learner.critic, asked, learner", "learner.critic, settings, learner"),
    _loop("a chance ending is charged for", "endings[0] - by_chance, initial", "endings[0], initial"),
    _loop("fewer endings than the initial model's are free", "by_chance, initial_finished)", "by_chance, 0.0)"),
    _loop("fewer endings than at first are free", "max(endings[0] - by_chance, initial_finished)", "initial_finished"),
    _loop(
        "the initial model's endings not known",
        "penalty_now(endings, settings, around.initial_finished)",
        "penalty_now(endings, settings)",
    ),
    _loop("endings saved up", "penalty = min(max(penalty, step)", "penalty = min(max(penalty, -1e9)"),
    _loop("endings of this rollout not seen", "learner.history), rollout.finished_share()]", "learner.history)]"),
    _loop("endings never paid for", "replace(settings, missing_end_penalty=penalty)", "settings"),
    _shortening("the whole way always kept", "if min(found.values()) <= MOST_SURPRISE:", "if True:"),
    _shortening("the shortest share kept", "in SHARES:", "in SHARES[::-1]:"),
    _shortening("shares of the way that is left", "begun[name].lerp(tensor, times)", "tensor.lerp(begun[name], times)"),
    _shortening("half the way stays where no share is enough", "    go_to_(kept)\n", ""),
    _shortening("what the exam would take not tried", "(MOST_SURPRISE, PERPLEXITY_LIMIT)", "(MOST_SURPRISE,)"),
    _stages("ends of the initial model not counted", "examples=examples, initial_finished=ended", "examples=examples"),
    _whole("the reward model's layers not told", 'self.report["reward_layers"] = reader.top_layers', "pass"),
    _whole(
        "the reward model is cut where the policy is",
        "if is_kept else REWARD_LAYERS",
        "if is_kept else split.top_layers",
    ),
    _stages(
        "a resumed night's reward model is cut anew", "if is_kept else REWARD_LAYERS", "if False else REWARD_LAYERS"
    ),
    _lengthening("nats grow with the way", "math.sqrt(bounds.asked / here.moved)", "bounds.asked / here.moved"),
    _lengthening("the longest way is taken unseen", "and is_better(there, here)", ""),
    _lengthening("beyond the nats of all nights", "there.kl <= bounds.in_all and ", ""),
    _lengthening("beyond the nats of one night", "there.moved <= bounds.night and ", ""),
    _lengthening("worse replies stay", "    policy.take_over_(ended)\n    return 1.0, here", "    return 1.0, here"),
    _lengthening("the way is told from its end", "walk_(policy, begun, ended,", "walk_(policy, ended, begun,"),
    _lengthening("half of it is not tried", "SHARES = (1.0, 0.5)", "SHARES = (1.0,)"),
    _lengthening("a gain by chance is enough", "float(gains.mean()) > error", "float(gains.mean()) > 0.0"),
    _lengthening("loops are no worse", "there.looping <= here.looping + LOOPING_ADDED +", "0.0 <= here.looping +"),
    _lengthening("ends do not count", "there.finished >= here.finished -", "1.0 >= here.finished -"),
    _lengthening("other words at every look", "torch.Generator().manual_seed(seed)", "learner.generator"),
    _lengthening("loops on the way are free", "- settings.loop_penalty * looping", ""),
    _lengthening("every night has all its nats", '- learner.history[0]["kl"])', ")"),
    _lengthening("what misled PPO is followed on", "learner.stopped not in {ALL_DONE, TIME_IS_UP} or ", ""),
    _stages(
        "the way is told from where it ended", "wanted, settings, begun,", "wanted, settings, learner.policy.copy(),"
    ),
    _stages("a resumed night looks anew", "if kept is not None or", "if"),
    _stages("an examined night goes on", ' or self.work.kept("exam") is not None', ""),
    _stages("a resumed night stays where PPO ended", "if times != 1.0:", "if False:"),
    _stages("no way is shortened", "shorten_(policy, begun)", "1.0, 1.0"),
    _stages("a way is told from its end", "shorten_(policy, begun)", "shorten_(policy, policy.copy())"),
    _loop("no bound on one night's drift", 'if beyond("moved", settings.kl_night):', "if False:"),
    _loop("a night's drift told from the initial model", 'beyond("moved", settings', 'beyond("kl", settings'),
    _loop("no bound on all nights' drift", 'if beyond("kl", settings.kl_total):', "if False:"),
    _loop("one rollout of chance ends a night", "BY_CHANCE = 1.2", "BY_CHANCE = 1.0"),
    _loop("a leap within the mean of the last is kept", "now[name] > BY_CHANCE * bound or ", ""),
    _loop("drift never averaged", " or (now[name] > bound and fmean(each[name] for each in lately) > bound)", ""),
    _loop("a night is what came last", "now][-LATELY:]", "now]"),
    _loop("what went too far is kept", "            learner.take_back_()\n", ""),
    _loop("one lucky draw ends a night", "WATCHED_TOGETHER = 3", "WATCHED_TOGETHER = 1"),
    _episodes(
        "four replies to a prompt taken for four prompts", ".view(len(rollout.prompt_of.unique()), -1)", "[:, None]"
    ),
    _learner_beta("a penalty set low is raised", "low=min(settings.beta, AdaptiveKl.low)", "low=AdaptiveKl.low"),
    _taken_back(
        "what may be taken back is not continued", 'self.earlier = _under("earlier.", tensors)', "self.earlier = {}"
    ),
    _loop("the onlooker is not heard", "elif overoptimised(history):", "elif False:"),
    _loop(
        "every night has the first one's target of drift",
        '        learner.kl_control.target = kl_target_now(learner.watch.start["kl"], settings)\n',
        "",
    ),
    _loop(
        "a target beyond the bound", "min(start + settings.kl_target, SHARE_OF_BOUND * settings.kl_total)", "start + 6"
    ),
    _loop("beta never moves", "        learner.kl_control.update_(rollout.mean_kl(), settings.episodes)\n", ""),
    _loop("the learning rate does not fall", "return rate * (1 - share_of_night(history, settings))", "return rate"),
    _loop("a course that is there at once", " * drifted(share)", ""),
    _loop(
        "a course as if steps did not fall",
        "(1 - (1 - share) ** 2) ** 1.5",
        "share",
    ),
    _loop("the clock is never told of", "any(share != done / settings.iterations", "any(share > 1"),
    _loop("one slow iteration ends a night", "history[-LATELY:])", "history[-1:])"),
    _loop("a night without time", "if left * next_takes(history) > seconds_left:", "if False:"),
    _loop("a night always told by its time", "if left * next_takes(history) > seconds_left:", "if seconds_left < 1e9:"),
    _loop(
        "a course told after the iteration",
        "share_of_night(history[:iteration], settings)",
        "share_of_night(history[: iteration + 1], settings)",
    ),
    _loop("a night's course told from the initial model", 'max(figures["moved"], 0.0)', 'max(figures["kl"], 0.0)'),
    _loop("too far is gone farther", "rate *= min(max(off", "rate /= min(max(off"),
    _loop("all is made up for at once", "off**0.25", "off**0.5"),
    _loop("steps grow without bound", ", 1 / RATE_CHANGES), RATE_CHANGES)", ", 1 / RATE_CHANGES), 1e9)"),
    _loop("steps shrink without bound", "max(off**0.25, 1 / RATE_CHANGES)", "max(off**0.25, 0.0)"),
    _loop("steps as long as a course likes", "min(rate, LONGEST * settings.learning_rate)", "rate"),
    _loop(
        "a course beyond the bound of all nights",
        'min(settings.course, max(settings.kl_total - history[0]["kl"], 0.0))',
        "settings.course",
    ),
    _learner(
        "what does not tell how far it moved is continued",
        'if not all("moved" in figures for figures in state["history"]):',
        "if False:",
    ),
    _moved("a later night moves from the initial model", "policy.copy() if policy.is_changed() else {}", "{}"),
    _moved(
        "a look at where a night began changes the policy",
        "                self.policy.take_over_(now)\n",
        "                pass\n",
    ),
    _moved("what a night moved is told from where it is", "self.policy.take_over_(self.begun)", "pass"),
    _loop("what came nearer is taken back", "(now[name] > bound and ", "("),
    _moved("what a night moved summed over replies", "return total / len(rollout.answers)", "return total"),
    _learner("steps of another kind are continued", 'if state.get("step", "AdamW") != self._step():', "if False:"),
    _loop("chance is taken for drift", "NOISE_OF_DRIFT = 0.2", "NOISE_OF_DRIFT = 0.002"),
    _loop("a course where none is asked for", "history[1:] if settings.course else ()", "history[1:]"),
    _update_steps(
        "steps as long as their gradient",
        "around.gradients.to_length_one_(learner.policy.weights())",
        "around.gradients.clip_(learner.policy.weights(), 1.0)",
    ),
    _gradients("lengths are not made one", "gradient.div_(norm or 1.0)", "pass"),
    _gradients("no gradient divided by nothing", "gradient.div_(norm or 1.0)", "gradient.div_(norm)"),
    _learner_steps("no momentum", "MOMENTUM = 0.9", "MOMENTUM = 0.0"),
    _learner_steps("always Adam", "if settings.step is Step.ADAM", "if True"),
    _learner("the generator is not continued", '        self.generator.set_state(tensors["generator"])\n', ""),
    _learner(
        "Adam's moments are not continued",
        '            optimiser.load_state_dict({"state": moments,',
        '            dict({"state": moments,',
    ),
    _learner(
        "beta is not continued",
        'float(state["beta"]), int(state["taken"])',
        'self.kl_control.beta, int(state["taken"])',
    ),
    _learner("prompts begin anew", 'float(state["beta"]), int(state["taken"])', 'float(state["beta"]), 0'),
    _learner("the critic is not continued", '        self.critic.load_state_dict(_under("critic.", tensors))\n', ""),
    _rules("no number is a number", "if not torch.isfinite(values).all():", "if False:"),
    _rules("drift of a fresh policy is fine", 'if self._first_night and now["kl"] != 0.0:', "if False:"),
    _rules("the base may change", "if fingerprint(self._base.model) != self._base.fingerprint:", "if False:"),
    _rules("equal advantages are fine", "if not float(advantages.std(correction=0)) > 0.0:", "if False:"),
    _rules("any ratio is fine", "if not torch.equal(new, old):", "if False:"),
    _rules("a part without gradient is fine", "            if norm == 0.0:", "            if False:"),
    _rules("a wild loss is fine", "            if not math.isfinite(value):", "            if False:"),
    _rules("silence is fine", 'if now["length"] < LEAST_TOKENS <= start["length"]:', "if False:"),
    _rules("no end is fine", 'if now["finished"] < least_endings:', "if False:"),
    _rules("no entropy is fine", 'if now["entropy"] < ENTROPY_KEPT * start["entropy"]:', "if False:"),
    _rules("any drift is fine", 'if now["kl"] > KL_CEILING:', "if False:"),
    _rules("repetition is fine", 'if now["looping"] > start["looping"] + LOOPING_ADDED:', "if False:"),
    _ptx("disliked replies are imitated", "if thumb.is_up]", "]"),
    _ptx("duels are imitated", 'return source[0] in {"correction", "thumb"} and preferred', "return preferred"),
    _ptx("imitated with the wrong sign", "return -logps.sum()", "return logps.sum()"),
    _ptx(
        "weights of examples ignored",
        "torch.multinomial(weights, count",
        "torch.multinomial(torch.ones_like(weights), count",
    ),
    _critic("the critic starts from nothing", "return running + values[..., 0]", "return values[..., 0]"),
)
