"""Bugs of drawing replies in step."""

from tests.mutant import mutants_of

_in_step = mutants_of("nightschool/llama_in_step.py", "tests/test_llama_in_step.py", "-k", "not embedded")
_sampling = mutants_of("nightschool/sampling.py", "tests/test_llama_in_step.py", "-k", "not embedded")
_company = mutants_of("nightschool/company.py", "tests/test_company.py")

ENGINE_MUTANTS = (
    _in_step("all versions speak like the first", "tuple(map(id, weights.tensors()))", "()"),
    _in_step("nothing is shared", "tuple(map(id, weights.tensors()))", "(row,)"),
    _in_step("texts stand still", "decoder.advance()", "pass"),
    _in_step(
        "any two models are taken", "if any(not decoder.shares_words_with(self) for decoder in decoders):", "if False:"
    ),
    _sampling("who left is drawn all the same", "at_work -= {row", "at_work |= {row"),
    _sampling(
        "replies share one text", "self._caches = {row: copy.deepcopy(cache) for row, cache in caches.items()}", "pass"
    ),
    _company("who leaves is drawn on", "self._at_work.discard(place)\n            self._drawn", "self._drawn"),
    _company(
        "one broken version breaks all",
        "self._faults[place] = error",
        "self._faults |= dict.fromkeys(self._versions, error)",
    ),
)
