"""Promotions and rollbacks while people are answered: no stream breaks, each reply names the version that wrote it."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from demo.classroom import Classroom
from nightschool.embedded_engine import EmbeddedEngine
from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel
from nightschool.records import INITIAL, ReplyStatus, Sampling
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.adapters import lora_pair, write_version

STREAMS, SWAPS = 8, 20
SAMPLING = Sampling(1.0, 24)


def test_twenty_swaps_under_eight_streams_break_none_and_each_reply_is_of_the_version_it_names(
    tmp_path: Path, tiny_base: BaseModel, database: FeedbackDatabase
) -> None:
    base = replace(tiny_base, stop_ids=frozenset())  # replies of full length: swaps fall into the middle of them
    store, registry = FeedbackStore(database), VersionRegistry(database)
    for number, name in enumerate(("v1", "v2")):
        written = write_version(tmp_path, base, name, lora_pair(base, seed=number + 1))
        registry.add(replace(written, created_at=f"9999-01-0{number + 1}"), [])
    asked = Counter[str]()
    enough = threading.Event()

    with closing(
        # Room for two of the three versions: some are dropped from memory while replies of theirs are being written.
        EmbeddedEngine(base, tmp_path, max_prompt_tokens=256, max_new_tokens=SAMPLING.max_new_tokens, resident=2)
    ) as engine:
        room = Classroom(store, registry, engine, sampling=SAMPLING, duel_share=0, chance=random.Random(1))

        def talk(person: str) -> None:
            while not enough.is_set():
                for _ in room.ask(person, "", f"What is rain, {person}?").drafts:
                    pass
                asked[person] += 1

        with ThreadPoolExecutor(STREAMS) as people:
            talks = [people.submit(talk, f"person {number}") for number in range(STREAMS)]
            for number in range(SWAPS):
                registry.promote(("v1", "v2", INITIAL)[number % 3], f"swap {number}")
                before = sum(asked.values())
                while sum(asked.values()) < before + 2 and not any(each.done() for each in talks):
                    threading.Event().wait(0.005)
            enough.set()
            for each in talks:
                each.result()  # raises what broke a stream

        replies = list(database.read().query("SELECT id, version, seed, prompt_ids, token_ids, status FROM replies"))
        assert len(replies) == sum(asked.values())
        assert {reply["status"] for reply in replies} == {ReplyStatus.DONE}
        assert {reply["version"] for reply in replies} == {"v1", "v2", INITIAL}
        for reply in random.Random(2).sample(replies, 24):
            stored = store.reply(reply["id"])
            again = engine.stream(registry.get(reply["version"]), stored.prompt_ids, SAMPLING, reply["seed"])
            assert list(again)[-1].token_ids == stored.token_ids
