"""Both sides of a duel, and the replies of a ranking, drawn in step: `python -m benchmarks.replies_in_step [--quick]`.

In one run of the chat's engine on the embedded model: tokens a second of one reply alone; of two and four replies of
one version, and of two by two versions, a token of each in turn: apart and in step. Rounds of all of them alternate;
told are medians and their ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import torch

from benchmarks.measuring import tell
from nightschool.embedded_engine import EmbeddedEngine
from nightschool.engine import Piece
from nightschool.files import MANIFEST, sha256_of, whole_folder
from nightschool.model import BaseModel, base_of
from nightschool.records import INITIAL, Message, Sampling, Version
from nightschool.settings import load_settings
from nightschool.version_folder import POLICY
from training.policy import Policy
from training.trunk import SplitModel

INITIAL_VERSION = Version(INITIAL, None, "", None, None, None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings()
    base = replace(base_of(settings), stop_ids=frozenset())  # all replies are equally long
    sampling = Sampling(settings.temperature, 64)
    with tempfile.TemporaryDirectory() as folder:
        other = write_version(base, SplitModel(base, settings.lora_layers), Path(folder), words.seed)
        with closing(
            EmbeddedEngine(base, Path(folder), max_prompt_tokens=512, max_new_tokens=64, resident=4)
        ) as engine:
            engine.prepare(other)
            prompt = engine.prompt_ids([Message("user", "Tell me a story about a lighthouse.")])

            def apart(versions: Sequence[Version], seed: int) -> list[Iterator[Piece]]:
                return [
                    engine.stream(version, prompt, sampling, seed + place) for place, version in enumerate(versions)
                ]

            def in_step(versions: Sequence[Version], seed: int) -> list[Iterator[Piece]]:
                seeds = [seed + place for place in range(len(versions))]
                return engine.stream_in_step(versions, prompt, sampling, seeds)

            ways = {
                "one": (in_step, [INITIAL_VERSION]),
                "two_apart": (apart, [INITIAL_VERSION] * 2),
                "two_in_step": (in_step, [INITIAL_VERSION] * 2),
                "two_versions_apart": (apart, [INITIAL_VERSION, other]),
                "two_versions_in_step": (in_step, [INITIAL_VERSION, other]),
                "four_apart": (apart, [INITIAL_VERSION] * 4),
                "four_in_step": (in_step, [INITIAL_VERSION] * 4),
            }
            speeds: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(3 if words.quick else 9):
                for name, (way, versions) in ways.items():
                    began = time.perf_counter()
                    *_, last = zip_longest(*way(versions, words.seed + 10 * number))
                    tokens = sum(len(piece.token_ids) for piece in last)
                    speeds[name].append(tokens / (time.perf_counter() - began))
    figures = {f"{name}_tokens_per_second": statistics.median(speeds[name]) for name in ways}
    figures |= {
        f"{count}_ratio": statistics.median(speeds[f"{count}_in_step"]) / statistics.median(speeds[f"{count}_apart"])
        for count in ("two", "two_versions", "four")
    }
    tell(figures, as_json=words.json)


def write_version(base: BaseModel, split: SplitModel, folder: Path, seed: int) -> Version:
    """An adapter that changes its layers, as a night's does."""
    policy = Policy(split, seed=seed)
    with torch.no_grad():
        for weight in policy.weights():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)) / 100)
    with whole_folder(folder / "other") as written:
        policy.save(written / POLICY)
    return Version("other", INITIAL, "", None, base.fingerprint, sha256_of(folder / "other" / MANIFEST), None)


if __name__ == "__main__":
    main()
