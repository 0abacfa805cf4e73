"""Every reply of a night's PPO, kept for people and for study as `rollouts.parquet` in the version's folder.

One row per episode: the prompt, y1 (a reply of the initial model) and y2 (the policy's as it was when iteration
`iteration` began), their scores by the reward model, and how far y2 has drifted.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from nightschool.errors import BadInput, DamagedVersion
from nightschool.files import whole_file
from nightschool.records import INITIAL
from training.judgements import Answer
from training.rollout import Rollout

ROLLOUTS = "rollouts.parquet"
Ids = pa.list_(pa.int32())
ITERATION = pa.schema(
    [
        ("iteration", pa.int32()),
        ("prompt_ids", Ids),
        ("y2_ids", Ids),
        ("y2_score", pa.float32()),
        ("y2_kl", pa.float32()),
        ("y2_finished", pa.bool_()),
    ]
)
"""What PPO itself knows of a reply; scores in standard deviations of the initial model's, KL in nats per reply."""


def write_iteration(path: Path, iteration: int, rollout: Rollout) -> None:
    """Keep one rollout in the night's work folder."""
    columns = {
        "iteration": [iteration] * len(rollout.answers),
        "prompt_ids": [answer.prompt_ids for answer in rollout.answers],
        "y2_ids": [answer.token_ids for answer in rollout.answers],
        "y2_score": rollout.episodes(lambda group: group.scores).tolist(),
        "y2_kl": rollout.kl().tolist(),
        "y2_finished": rollout.episodes(lambda group: group.finished).tolist(),
    }
    table = pa.table(columns, schema=ITERATION)
    whole_file(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))


def read_iterations(paths: Sequence[Path]) -> pa.Table:
    """All rollouts of a night as one table."""
    return pa.concat_tables([parquet.read_table(path) for path in paths]) if paths else ITERATION.empty_table()


def prompts_in(table: pa.Table) -> list[tuple[int, ...]]:
    """The prompts a night practised on, each once."""
    return list(dict.fromkeys(tuple(ids) for ids in table["prompt_ids"].to_pylist()))


def with_initial(
    table: pa.Table,
    initial: Mapping[tuple[int, ...], Answer],
    scores: Mapping[tuple[int, ...], float],
    decode: Callable[[Sequence[int]], str],
) -> pa.Table:
    """Texts beside ids, and to each prompt the initial model's reply with its score."""
    rows: list[dict[str, Any]] = []
    for row in table.to_pylist():
        prompt = tuple(row["prompt_ids"])
        first = initial[prompt]
        rows.append(
            row
            | {
                "prompt": decode(prompt),
                "y1": decode(first.token_ids),
                "y2": decode(row["y2_ids"]),
                "y1_ids": list(first.token_ids),
                "y1_score": scores[prompt],
                "y1_version": INITIAL,
            }
        )
    texts = [(name, pa.string()) for name in ("prompt", "y1", "y2", "y1_version")]
    schema = pa.schema([*ITERATION, *texts, ("y1_ids", Ids), ("y1_score", pa.float32())])
    return pa.Table.from_pylist(rows, schema=schema)


def write_rollouts(folder: Path, table: pa.Table, version_id: str) -> None:
    """Write `rollouts.parquet` into a version's folder."""
    named = table.append_column("y2_version", pa.array([version_id] * len(table), pa.string()))
    parquet.write_table(named, folder / ROLLOUTS, compression="zstd")


def read_rollouts(folder: Path) -> list[dict[str, Any]]:
    """The rows of a version's rollouts. Raises `BadInput` where it kept none, `DamagedVersion` for a broken file."""
    path = folder / ROLLOUTS
    if not path.is_file():
        raise BadInput(f"There are no samples in {folder}: the version was made before samples were kept, or by hand.")
    try:
        return list(parquet.read_table(path).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise DamagedVersion(
            f"The samples in {path} cannot be read ({error}); restore the file from a backup."
        ) from error
