"""Files of examples, as TRL and `datasets` read them: JSON lines or Parquet. Written here, read here, the same back.

| format | columns |
|---|---|
| trl-preference | `prompt`, `chosen`, `rejected`: each a list of messages (`role`, `content`) |
| kto | `prompt`, `completion`: lists of messages; `label`: true or false |
| sft | `messages`: a list that ends with the assistant |

A file is taken whole or refused whole, with the number of its first bad line. Its format is told by its columns.
"""

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nightschool.errors import BadInput
from nightschool.examples import Example, Labelled, Numbered, Pair, Shown, TrainerFormat, fault_of
from nightschool.records import Message

ENDINGS = (".jsonl", ".parquet")
ROLES = ("system", "user", "assistant")
EXPECTED = (
    "each line is an object with prompt, chosen and rejected (each a list of messages), or with prompt, completion and "
    "label, or with messages"
)
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMAS = {
    TrainerFormat.PREFERENCE: pa.schema([(name, MESSAGES) for name in ("prompt", "chosen", "rejected")]),
    TrainerFormat.KTO: pa.schema([("prompt", MESSAGES), ("completion", MESSAGES), ("label", pa.bool_())]),
    TrainerFormat.SFT: pa.schema([("messages", MESSAGES)]),
}


def ending_of(name: str) -> str:
    """The ending that says how a file is written. Raises `BadInput` for another one."""
    found = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    if found is None:
        raise BadInput(f"The file {name} ends neither with .jsonl nor with .parquet; name it so.")
    return found


def file_of(examples: Sequence[Example], shape: TrainerFormat, ending: str) -> bytes:
    """The content of a file. Raises `BadInput` where there is nothing to write: `datasets` cannot load such a file."""
    if not examples:
        raise BadInput(
            f"There is nothing to export as {shape} yet; judge some answers, and see that training on them is allowed."
        )
    rows = [row_of(example) for example in examples]
    if ending == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMAS[shape]), sink)
    return sink.getvalue()


def row_of(example: Example) -> dict[str, Any]:
    """An example as a line of its file."""
    prompt = [_spoken(message) for message in example.prompt]
    if isinstance(example, Pair):
        return {"prompt": prompt, "chosen": [_answered(example.chosen)], "rejected": [_answered(example.rejected)]}
    if isinstance(example, Labelled):
        return {"prompt": prompt, "completion": [_answered(example.completion)], "label": example.label}
    return {"messages": [*prompt, _answered(example.completion)]}


def _spoken(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


def _answered(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def read_examples(content: bytes, name: str) -> Numbered:
    """The examples of a file, each with the number of its line. Raises `BadInput`, naming the line and its fault."""
    found: list[tuple[int, Example]] = []
    for number, row in _rows(content, name):
        try:
            found.append((number, example_of(json.loads(row) if isinstance(row, str) else row)))
        except (json.JSONDecodeError, RecursionError) as error:  # what the library says is in English, of its own lines
            raise refused(number, name, "it is no JSON") from error
        except ValueError as error:
            raise refused(number, name, error) from error
        if type(found[-1][1]) is not type(found[0][1]):
            raise refused(number, name, "it is of another format than the lines before")
    if not found:
        raise BadInput(f"The file {name} holds nothing to import: each line is one JSON object. Nothing was imported.")
    return found


def refused(number: int, name: str, fault: object) -> BadInput:
    """The error of a file that is refused for one line."""
    return BadInput(f"Line {number} of {name} cannot be used ({fault}); {EXPECTED}. Nothing was imported.")


def _rows(content: bytes, name: str) -> Iterable[tuple[int, Any]]:
    """(number from 1, line or row); blank lines are passed over."""
    if content.startswith(b"PAR1"):
        try:
            return enumerate(pq.read_table(io.BytesIO(content)).to_pylist(), 1)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BadInput(f"The file {name} is no whole Parquet file; export it again.") from error
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"The file {name} could not be read (byte {error.start} is no UTF-8); give a UTF-8 file of JSON lines."
        ) from error
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def example_of(row: object) -> Example:
    """A line as an example. Raises `ValueError` with what is wrong."""
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    if "messages" in row:
        messages = _messages(row, "messages")
        if messages[-1].role != "assistant":
            raise ValueError("the last message is not from the assistant")
        return Shown(_prompt(messages[:-1], "messages"), messages[-1].content)
    prompt = _prompt(_messages(row, "prompt"), "prompt")
    if "completion" in row:
        if not isinstance(row.get("label"), bool):
            raise ValueError("label is missing, or neither true nor false")
        return Labelled(prompt, _answer(row, "completion"), row["label"])
    return Pair(prompt, _answer(row, "chosen"), _answer(row, "rejected"))


def _prompt(messages: list[Message], name: str) -> tuple[Message, ...]:
    if not messages or messages[-1].role != "user":
        place = "message before the answer" if name == "messages" else f"last message of {name}"
        raise ValueError(f"the {place} is not from the user")
    return tuple(messages)


def _answer(row: dict[str, Any], name: str) -> str:
    messages = _messages(row, name)
    if len(messages) != 1 or messages[0].role != "assistant":
        raise ValueError(f"{name} is not one message from the assistant")
    return messages[0].content


def _messages(row: dict[str, Any], name: str) -> list[Message]:
    found = row.get(name)
    if not isinstance(found, list) or not found:
        raise ValueError(f"{name} is missing or not a list of messages")
    messages = []
    for message in found:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ValueError(f"a message of {name} has no role among {', '.join(ROLES)}")
        content = message.get("content")
        if not isinstance(content, str):
            raise ValueError(f"a message of {name} has no text")
        if fault := fault_of(content):
            raise ValueError(f"a message of {name} {fault}")
        messages.append(Message(message["role"], content))
    return messages
