"""The load test itself: what its people do is stored, and a vote that is lost, or goes wrong, is seen."""

from pathlib import Path

import pytest

from benchmarks import chat_load
from benchmarks.chat_load import Person, lost_votes
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import served


def test_what_people_of_the_load_test_do_is_stored_and_what_is_lost_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_load, "THINKS", (0, 0))
    with served(tmp_path) as site:
        VersionRegistry(site.database).add(
            Version("v1", INITIAL, utc_now(), None, "base", "sha", VerdictKind.PROMOTED), []
        )
        person = Person(site.url, seed=3)
        for act in (person.ask, person.judge, person.compare, person.judge, person.judge, person.rank):
            act()
        told = person.told
        assert told.errors == []
        assert (len(told.duels), len(told.rounds)) == (1, 1)
        assert len(told.acks) == 5
        assert min(told.acks) > 0
        assert lost_votes(site, told) == 0
        with site.database.write() as db:
            db.execute("UPDATE duels SET outcome = NULL")
        assert lost_votes(site, told) == 1
        with site.database.write() as db:
            db.execute("UPDATE ranking_rounds SET ranking_id = NULL")
        assert lost_votes(site, told) == 2
        told.thumbs["a reply"] = "up"
        assert lost_votes(site, told) == 3
        person.put("   ")
        assert "empty" in told.errors[-1]
        person.tab.close()
