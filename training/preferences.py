"""Files of judgements made elsewhere, in TRL's forms, as rows for the store: see `nightschool.trainer_files`."""

from collections.abc import Sequence
from pathlib import Path

from nightschool.chat_format import encode_prompt, encode_text
from nightschool.errors import BadInput
from nightschool.example_rows import Imports, imports_of
from nightschool.model import BaseModel
from nightschool.records import Message, Preference
from nightschool.trainer_files import read_examples


class BaseEncoder:
    """Encodes text for a base model; of a prompt that is too long the end is kept, which is what is answered."""

    def __init__(self, base: BaseModel, prompt_tokens: int) -> None:
        self._base = base
        self._prompt_tokens = prompt_tokens

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """See `Encoder.prompt_ids`."""
        return encode_prompt(self._base.tokenizer, messages)[-self._prompt_tokens :]

    def reply_ids(self, text: str) -> list[int]:
        """See `Encoder.reply_ids`."""
        return [*encode_text(self._base.tokenizer, text), self._base.tokenizer.eos_token_id]


def read_judgements(path: Path, base: BaseModel, prompt_tokens: int) -> Imports:
    """Parse and encode a file. Raises `BadInput` naming the line and what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"The file {path} could not be read ({error}); give a UTF-8 file of JSON lines.") from error
    return imports_of(read_examples(content, str(path)), str(path), BaseEncoder(base, prompt_tokens))


def read_preferences(path: Path, base: BaseModel, prompt_tokens: int) -> list[Preference]:
    """The preferences of a file of pairs."""
    return list(read_judgements(path, base, prompt_tokens).preferences)
