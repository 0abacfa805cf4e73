"""Bugs of PPO's maths, of sequences and of the policy."""

from tests.mutant import mutants_of

_losses = mutants_of("training/losses.py", "tests/test_losses.py")
_advantages = mutants_of("training/advantages.py", "tests/test_advantages.py")
_sequences = mutants_of("training/sequences.py", "tests/test_sequences.py")
_trunk = mutants_of("training/trunk.py", "tests/test_trunk.py")
_words = mutants_of("training/word_probabilities.py", "tests/test_word_probabilities.py")
_policy = mutants_of("training/policy.py", "tests/test_policy.py")
_groups = mutants_of("training/rollout.py", "tests/test_rollout.py")

PPO_MUTANTS = (
    _losses("every end is kept, also too many", "is_response & (ends < reference_ends), kl", "is_response, kl"),
    _losses("ends of padding are kept", "is_response & (ends < reference_ends)", "ends < reference_ends"),
    _losses("going on costs nothing", "(1 - chance) * goes_on", "0.0 * goes_on"),
    _losses("KL of ends the other way", "chance * (reference_ends - ends)", "ends.exp() * (reference_ends - ends)"),
    _losses("sides of a pair swapped", "[d / 2, -d / 2, log_nu", "[-d / 2, d / 2, log_nu"),
    _losses("d not halved in Davidson", "[d / 2, -d / 2, log_nu", "[d, -d, log_nu"),
    _losses("a tie is smoothed into a win", "where(outcome == TIE, outcome, 1", "where(outcome == TIE, LEFT, 1"),
    _losses("pairs not smoothed", "return (1 - smoothing) * given + smoothing * flipped", "return given"),
    _losses(
        "thumbs not smoothed", "+ smoothing * functional.softplus(margin)", "+ smoothing * functional.softplus(-margin)"
    ),
    _losses("threshold of thumbs with the wrong sign", "sign * (r - delta)", "sign * (r + delta)"),
    _losses("thumbs up and down swapped", "torch.where(is_up, 1.0, -1.0)", "torch.where(is_up, -1.0, 1.0)"),
    _losses("no clip", "clipped = ratio.clamp(1 - clip, 1 + clip)", "clipped = ratio"),
    _losses("clip takes the better of two", "torch.maximum(-advantages * ratio", "torch.minimum(-advantages * ratio"),
    _losses("log-ratio not bounded", "(new - old).clamp(-20.0, 20.0)", "(new - old)"),
    _losses(
        "policy loss over padding too",
        "    return torch.where(is_response, losses, 0.0).sum()",
        "    return losses.sum()",
    ),
    _losses(
        "policy loss divided by its own part",
        "    return torch.where(is_response, losses, 0.0).sum() / count",
        "    return torch.where(is_response, losses, 0.0).sum() / is_response.sum()",
    ),
    _losses("value not clipped", "near = old_values + (values - old_values).clamp(-clip, clip)", "near = values"),
    _losses(
        "value loss takes the better of two", "torch.maximum((values - returns)", "torch.minimum((values - returns)"
    ),
    _losses("value loss over padding too", "0.5 * torch.where(is_response, losses, 0.0)", "0.5 * losses"),
    _losses(
        "value loss divided by its own part",
        "0.5 * torch.where(is_response, losses, 0.0).sum() / count",
        "0.5 * torch.where(is_response, losses, 0.0).sum() / is_response.sum()",
    ),
    _losses("k1 with the wrong sign", "    return logp - reference_logp", "    return reference_logp - logp"),
    _losses("k3 of the other direction", "torch.exp(-k) - 1 + k", "torch.exp(k) - 1 - k"),
    _losses("k3 in place of k1", "    return logp - reference_logp", "    return k3(logp, reference_logp)"),
    _advantages("V shifted by one", "values[:, t + 1] if t + 1 <", "values[:, t] if t + 1 <"),
    _advantages("values of padding leak", "    values = torch.where(is_response, values, 0.0)\n", ""),
    _advantages(
        "score one slot after the end",
        "last = is_response.sum(1) - 1",
        "last = is_response.sum(1).clamp(max=is_response.shape[1] - 1)",
    ),
    _advantages("score at the first token", "last = is_response.sum(1) - 1", "last = 0 * is_response.sum(1)"),
    _advantages("KL rewarded", "torch.where(is_response, -beta * kl, 0.0)", "torch.where(is_response, beta * kl, 0.0)"),
    _advantages("KL of padding fined", "torch.where(is_response, -beta * kl, 0.0)", "-beta * kl"),
    _advantages("gamma left out of the sum", "delta + gamma * lam * later", "delta + lam * later"),
    _advantages("lambda left out of the sum", "delta + gamma * lam * later", "delta + gamma * later"),
    _advantages("return without the value", "torch.where(is_response, advantages + values, 0.0)", "advantages"),
    _advantages("whitened over padding too", "entries = x[is_response]", "entries = x"),
    _advantages("not whitened", "(x - mean) * torch.rsqrt(", "(x - mean) + 0 * torch.rsqrt("),
    _advantages("whitened by the unbiased variance", "entries.var(correction=0)", "entries.var(correction=1)"),
    _advantages("beta goes the wrong way", "kl / self.target - 1,", "1 - kl / self.target,"),
    _advantages("beta without its bounded step", "min(max(kl / self.target - 1, -0.2), 0.2)", "kl / self.target - 1"),
    _advantages("beta without a lower bound", ", self.low), self.high)", ", 0.0), self.high)"),
    _advantages("beta without an upper bound", "min(max(self.beta * (1", "max(max(self.beta * (1"),
    _sequences("states read one place late", "_lengths[rows] + steps + shift]", "_lengths[rows] + steps + shift + 1]"),
    _sequences("shift to the predicting place left out", "[rows] + steps + shift]", "[rows] + steps]"),
    _sequences(
        "ids read one place early", "self.prompt_lengths[rows] + steps]", "self.prompt_lengths[rows] + steps - 1]"
    ),
    _sequences(
        "mask from ids that are not pad",
        "        return torch.arange(steps)[None] < self.response_lengths[:, None]",
        "        inside = torch.arange(steps)[None] < self.response_lengths[:, None]\n"
        "        places = (self.prompt_lengths[:, None] + torch.arange(steps)).clamp(max=self.ids.shape[1] - 1)\n"
        "        return inside & (self.ids.gather(1, places) != 2)",
    ),
    _sequences(
        "padded on the left", "[*row] + [pad_id] * (width - len(row))", "[pad_id] * (width - len(row)) + [*row]"
    ),
    _words("temperature left out of given words", "logps + lead / temperature", "logps + lead"),
    _words("given words without their bias", "lead = lead + (bias[word] - bias[ids]).float()", "pass"),
    _words("one given word alone", "torch.stack(found).logsumexp(0)", "found[0]"),
    _words("temperature left out", "logits.float().div_(temperature)", "logits.float()"),
    _words("temperature left out of the gradient", "(grad / ctx.temperature)", "grad"),
    _words("gradient with the wrong sign", "(grad / ctx.temperature)", "(-grad / ctx.temperature)"),
    _words("total not rescaled when the maximum rises", "self._total * shrunk", "self._total"),
    _words("gradient not rescaled when the maximum rises", "self._weighed.mul_(shrunk).add_", "self._weighed.add_"),
    _words("entropy not moved to the new maximum", "+ fell * self._total)", ")"),
    _words("the drawn word of the first block only", "ids - start, weight[block]", "ids, weight[block]"),
    _trunk("dropout of a tenth", "lora_dropout=0.0", "lora_dropout=0.1"),
    _trunk(
        "adapter put into the base itself",
        "get_peft_model(self._twin(eager=eager), config)",
        "get_peft_model(self.base.model, config)",
    ),
    _trunk(
        "adapter's top copies the base",
        "twin(self.base.model, self.top_layers, share_weights=True)",
        "copy.deepcopy(self.base.model)",
    ),
    _trunk("tops attend as the base does", '            found.set_attn_implementation("eager")', "            pass"),
    _trunk("other attention not noticed", "whole) > OF_ROUNDING[states.dtype]", "whole) > 1e9"),
    _trunk("the first word is told from one place too early", "read[of, lengths - 1]", "read[of, lengths - 2]"),
    _trunk(
        "replies go up behind the prompt of the first",
        "module, cache, lengths, of",
        "module, cache, lengths, 0 * of",
    ),
    _trunk(
        "no gradient through a shared prompt",
        "keys[of], read[index].values[of]",
        "keys[of].detach(), read[index].values[of].detach()",
    ),
    _sequences("prompts of one length are one prompt", "prompt = tuple(ids[:length])", "prompt = (length,)"),
    _groups(
        "replies to a prompt are torn apart", "prompt * replies + reply", "prompt + reply * (len(answers) // replies)"
    ),
    _groups("long replies and short ones side by side", "if replies > GROUP else 0", "* 0"),
    _policy(
        "policy answers with the reference",
        'differentiable in the LoRA."""\n        states = self.split.top_at_replies(self._top,',
        'differentiable in the LoRA."""\n        states = self.split.top_at_replies(self.split.eager_reference,',
    ),
    _policy(
        "log-probabilities read at the word itself",
        "at_responses(states, shift=-1)\n    return",
        "at_responses(states)\n    return",
    ),
    _policy("twin without the LoRA's scale", "self.tensors(), ALPHA / RANK", "self.tensors(), 1.0"),
    _policy(
        "a scale of temperature 1",
        "lm_head, sequences.response_ids(), temperature)",
        "lm_head, sequences.response_ids(), 1.0)",
    ),
    _policy("the base is trained too", ' if "lora_" in name]', "]"),
)
