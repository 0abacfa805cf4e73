"""Bugs of the exam, the verdict, the ratings and the probation."""

from tests.mutant import mutants_of

_statistics = mutants_of("training/exam_statistics.py", "tests/test_exam_statistics.py")
_exam = mutants_of("training/exam.py", "tests/test_exam.py")
_cross_fit = mutants_of("training/cross_fit.py", "tests/test_cross_fit.py")
_conduct = mutants_of("training/conduct.py", "tests/test_conduct.py")
_guards = mutants_of("training/guards.py", "tests/test_verdict.py")
_verdict = mutants_of("training/verdict.py", "tests/test_verdict.py")
_neutral = mutants_of("training/neutral_texts.py", "tests/test_exam.py")
_ratings = mutants_of("training/ratings.py", "tests/test_ratings.py")
_controlled = mutants_of("training/style_control.py", "tests/test_style_control.py")
_style = mutants_of("training/style.py", "tests/test_style_control.py")
_contests = mutants_of("training/leaderboard.py", "tests/test_leaderboard.py")
_probation = mutants_of("nightschool/probation.py", "tests/test_probation.py")
_reading = mutants_of("nightschool/feedback_reading.py", "tests/test_probation_watch.py", "tests/test_leaderboard.py")
_registry = mutants_of("nightschool/registry.py", "tests/test_probation_watch.py")
_championship = mutants_of("nightschool/championship.py", "tests/test_probation_watch.py")

EXAM_MUTANTS = (
    _statistics(
        "replies drawn one by one",
        "number.setdefault(cluster, len(number))",
        "number.setdefault(len(number), len(number))",
    ),
    _statistics("a draw counts as a win", "int((sums > 0).sum())", "int((sums >= 0).sum())"),
    _statistics("length explains nothing", "torch.sigmoid(weights[0])", "wins.mean()"),
    _exam(
        "margins turned round",
        "margins = judged_new - judged_old",
        "margins = judged_old - judged_new",
    ),
    _exam(
        "both replies to a prompt are one component each",
        "for component in questions.components for _ in range(questions.replies)",
        "for component in range(len(wanted))",
    ),
    _exam(
        "champion and candidate draw with different seeds",
        "policy.twin(), wanted, drawing, torch.Generator().manual_seed(seed)",
        "policy.twin(), wanted, drawing, torch.Generator().manual_seed(seed + 1)",
    ),
    _exam("the proxy's share is the examiner's", "wins_of(rewards_new - rewards_old)", "wins_of(margins)"),
    _exam("nobody looks at the base", "fingerprint(base.model) == base.fingerprint", "True"),
    _exam(
        "heads told on one common scale", "scales = [head.normalised(old) for head in heads]", "scales = list(heads)"
    ),
    _exam(
        "labels score their own prompts",
        "return self.folds.scores(self.examiner.head, pooled, components)",
        "return self.examiner.head.scores(pooled)",
    ),
    _cross_fit("a fold's prompts are scored by the whole", "scores[own] = head.scores(pooled[own])", "own = own"),
    _cross_fit("a fold is fitted to itself", "for rest, _ in folds_of", "for _, rest in folds_of"),
    _cross_fit("the next fold's head", "places == place", "places == place + 1"),
    _cross_fit(
        "heads on scales of their own", "tuple(head.normalised(pooled_of_initial) for head in self.heads)", "self.heads"
    ),
    _conduct("the end of a reply is a word", "if token not in stop_ids]", "]"),
    _conduct("two samples of one prompt are copies", "len(prompts_of[opening]) > 1", "len(prompts_of[opening]) > 0"),
    _conduct("variety over different amounts", "body[: reply.counted]", "body"),
    _guards("no number passes", "exam.kl <= KL_LIMIT,", "not exam.kl > KL_LIMIT,"),
    _guards("chance is not forgiven", "return CHANCE * math", "return 0 * math"),
    _guards("heads that all favour it reject it", " or exam.heads_for == exam.heads", ""),
    _guards("short replies pass", "LENGTH_LOW * old.length <= new.length <= LENGTH_HIGH", "new.length <= LENGTH_HIGH"),
    _guards("replies need not end", "new.finished >= least_finished", "new.finished >= 0.0"),
    _guards("empty replies pass", "new.empty <= most_empty", "new.empty <= 1.0"),
    _guards("loops pass", "new.looping <= most_looping", "new.looping <= 1.0"),
    _guards("poor words pass", "new.variety >= least_variety", "new.variety >= 0.0"),
    _guards("copies pass", "new.copies <= most_copies", "new.copies <= 1.0"),
    _guards(
        "a champion's copies are held against the candidate",
        "max(COPIES_LIMIT, old.copies + COPIES_ADDED)",
        "COPIES_LIMIT",
    ),
    _guards(
        "another script passes",
        'Guard("script", new, least, new >= least, said)',
        'Guard("script", new, least, True, said)',
    ),
    _guards("entropy is compared with itself", "ENTROPY_KEPT * exam.entropy_initial", "ENTROPY_KEPT * exam.entropy"),
    _guards(
        "plain texts are not asked", "exam.perplexity <= PERPLEXITY_LIMIT,", "exam.perplexity <= PERPLEXITY_LIMIT + 9,"
    ),
    _guards("doubt is not looked at", "limit = DOUBT_LIMIT * exam.doubt_before", "limit = math.inf"),
    _guards(
        "another base passes",
        "            exam.base_untouched,\n            Said(",
        "            True,\n            Said(",
    ),
    _guards(
        "the ends of replies are not guarded",
        "(_of_the_policy, _of_ends, _of_repetition, _of_script, _of_doubt)",
        "(_of_the_policy, _of_repetition, _of_script, _of_doubt)",
    ),
    _verdict("practice promotes", "    if practice:", "    if False:"),
    _verdict("who wins need not pass the guards", "    if faults:", "    if faults and not is_better(exam):"),
    _verdict("worse by one test of two", "exam.win_rate_high < 0.5 and exam.gain_high < 0", "exam.win_rate_high < 0.5"),
    _verdict(
        "people need not confirm", "VerdictKind.PROBATION, reason + confirm", "VerdictKind.PROMOTED, reason + confirm"
    ),
    _verdict(
        "the owner need not promote", "VerdictKind.HELD, reason + by_hand", "VerdictKind.PROMOTED, reason + by_hand"
    ),
    _verdict("any win is enough", "LEAST_WIN_RATE = 0.53", "LEAST_WIN_RATE = 0.5"),
    _verdict("a short exam promotes", "exam.prompts < LEAST_PROMPTS", "exam.prompts < 1"),
    _verdict("a short exam is not told", "if exam.prompts >= LEAST_PROMPTS:", "if exam.prompts >= 1:"),
    _verdict("the sign test is not asked", " and exam.sign_p <= SIGN_LEVEL", ""),
    _verdict("the gain is not asked", " and exam.gain_low > 0", ""),
    _verdict(
        "an untrusted examiner rejects",
        "    if examiner_fault is not None:",
        "    if examiner_fault is not None and not is_worse(exam):",
    ),
    _neutral(
        "perplexity the wrong way round",
        "(initial - policy.logps(trunk, sequences, 1.0))",
        "(policy.logps(trunk, sequences, 1.0) - initial)",
    ),
    _neutral("texts of one language only", "if line)", "if line.isascii())"),
    _neutral(
        "every token surprises as much",
        "tokens += int(sequences.response_lengths.sum())",
        "tokens += int(sequences.ids.numel())",
    ),
    _neutral(
        "the initial model reads at another temperature",
        "reference_logps(split, base_states, sequences, 1.0)",
        "reference_logps(split, base_states, sequences, 0.7)",
    ),
    _ratings("no prior", "RIDGE = 0.1", "RIDGE = 1e-9"),
    _ratings("a tie is a loss", "beats + ties / 2 - met", "beats - met"),
    _ratings("curvature without its cross terms", "curve[:, :size, size] = curve[:, size, :size] = across", "pass"),
    _ratings(
        "intervals by drawing alone",
        "torch.minimum(drawn.quantile(tail, 0), strength - half)",
        "drawn.quantile(tail, 0)",
    ),
    _ratings("votes drawn one by one", "if len(set(people)) >= LEAST_PEOPLE:", "if False:"),
    _ratings("everybody has a rank", "1 + better if better or worse else None", "1 + better"),
    _probation("one vote too many a day", "<= VOTES_A_DAY", "<= VOTES_A_DAY + 1"),
    _probation("the most convinced person decides", "for_it=fmean(", "for_it=max("),
    _probation("evidence grows too fast", "/ ((votes + 1) * math.comb", "/ (votes * math.comb"),
    _probation("a late break is forgiven", "worth = max(worth * ratio, 1.0)", "worth = worth * ratio"),
    _reading("the rival's thumbs go on counting", "AND t.created_at <= :until", "AND :until = :until"),
    _registry("a rolled back version goes on answering", "move_champion(db, probation.rival_id, reason.en)", "pass"),
    _championship("who is late acts all the same", "return row is not None", "return True"),
    _controlled("style explains nothing", "leads[:, used] / telling", "leads[:, used] * 0"),
    _controlled("a lead in length is told whole", "leads[:, used] / telling", "leads[:, used]"),
    _controlled("style has no prior", "[RIDGE_OF_STYLE] * len(used)", "[1e-6] * len(used)"),
    _controlled(
        "every vote is a person of its own",
        "torch.maximum(by_clusters.diagonal(), by_curvature.diagonal())",
        "by_curvature.diagonal()",
    ),
    _controlled("Newton steps are cut", "theta = theta + step ", "theta = theta + step.clamp(-1.0, 1.0) "),
    _controlled("a tie is half a loss", "Preferred.TIE: 0.5", "Preferred.TIE: 0.25"),
    _style("code is dress", 'INLINE.sub("code", FENCED.sub("", reply.text))', "reply.text"),
    _style("a rule is a list", "(?![-* ]*$)", ""),
    _style("a lead is a count", "(a - b) / (a + b) if a + b", "(a - b) if a + b"),
    _contests(
        "the loser's dress is the winner's",
        "lead(style_of(duel.left), style_of(duel.right))",
        "lead(style_of(duel.right), style_of(duel.left))",
    ),
)
