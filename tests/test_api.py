"""Every published endpoint, called as a program of somebody else would: with gradio_client and the person's cookie."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from demo.identity import COOKIE
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import SCRIPTS, Site, served


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        registry = VersionRegistry(running.database)
        registry.add(Version("v1", INITIAL, utc_now(), None, "base", "sha", VerdictKind.PROMOTED), [])
        yield running


def somebody(site: Site) -> Client:
    """A new person's program, with the cookie that a page gave."""
    cookie = httpx.get(site.url).cookies[COOKIE]
    return Client(site.url, headers={"Cookie": f"{COOKIE}={cookie}"}, verbose=False)


@pytest.fixture
def ann(site: Site) -> Client:
    return somebody(site)


def rows(site: Site, sql: str) -> list[Any]:
    return list(site.database.read().execute(sql).fetchall())


def asked(client: Client, text: str, conversation: str = "", compare: bool = False) -> list[dict[str, Any]]:
    job = client.submit(text=text, conversation=conversation, compare=compare, api_name="/ask")
    return list(job)


def refusal(client: Client, api_name: str, **given: Any) -> str:
    with pytest.raises(AppError) as refused:
        client.predict(**given, api_name=api_name)
    return str(refused.value)


def test_these_endpoints_are_public_and_no_others(ann: Client) -> None:
    published = ann.view_api(return_format="dict")
    assert set(published["named_endpoints"]) == {
        "/ask", "/thumb", "/correct", "/duel_vote", "/ranking", "/rank", "/skip_ranking", "/undo_ranking",
    }  # fmt: skip
    assert published["unnamed_endpoints"] == {}


def test_an_answer_streams_and_its_conversation_goes_on(ann: Client, site: Site) -> None:
    steps = asked(ann, "What is bread?")
    texts = [step["text"] for step in steps]
    assert len(steps) > 2
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    last = steps[-1]
    assert rows(site, f"SELECT m.text FROM messages m WHERE id = '{last['reply']}'") == [(last["text"],)]
    again = asked(ann, "And butter?", last["conversation"])[-1]
    assert again["conversation"] == last["conversation"]


def test_a_thumb_is_set_changed_and_taken_back(ann: Client, site: Site) -> None:
    reply = asked(ann, "Judge this")[-1]["reply"]
    for value, stored in (("up", [("up",)]), ("down", [("down",)]), ("none", [])):
        assert ann.predict(reply=reply, value=value, api_name="/thumb") == {"reply": reply, "value": value}
        sql = f"SELECT value FROM thumbs WHERE reply_id = '{reply}' AND replaced_at IS NULL"
        assert rows(site, sql) == stored


def test_a_correction_is_kept_replaced_and_taken_back(ann: Client, site: Site) -> None:
    answer = asked(ann, "Correct this")[-1]
    for text, stored in (("Butter. ", [("Butter.",)]), ("Bread.", [("Bread.",)]), ("", [])):
        assert ann.predict(reply=answer["reply"], text=text, api_name="/correct")["text"] == text.strip()
        sql = f"SELECT text FROM corrections WHERE reply_id = '{answer['reply']}' AND replaced_at IS NULL"
        assert rows(site, sql) == stored
    assert "says the same" in refusal(ann, "/correct", reply=answer["reply"], text=answer["text"])


def test_a_duel_names_its_versions_once_it_is_decided(ann: Client, site: Site) -> None:
    [duel] = asked(ann, "Compare these", compare=True)
    assert set(duel) == {"conversation", "duel", "left", "right"}
    decided = ann.predict(duel=duel["duel"], outcome="right", api_name="/duel_vote")
    assert {decided["left"], decided["right"]} == {INITIAL, "v1"}
    assert rows(site, f"SELECT outcome FROM duels WHERE id = '{duel['duel']}'") == [("right",)]
    assert "already decided" in refusal(ann, "/duel_vote", duel=duel["duel"], outcome="left")


def test_a_duel_of_two_empty_answers_names_no_reply(tmp_path: Path) -> None:
    (tmp_path / SCRIPTS).write_text(json.dumps({INITIAL: ""}), encoding="utf-8")
    with served(tmp_path) as silent:
        last = asked(somebody(silent), "Say nothing", compare=True)[-1]
        assert (last["reply"], last["text"]) == ("", "")


def test_answers_are_ranked_skipped_and_taken_back(ann: Client, site: Site) -> None:
    first = ann.predict(language="en", api_name="/ranking")
    names = list(first["answers"])
    assert set(names) == {"0", "1", "2", "3"}
    ranked = ann.predict(ranking=first["ranking"], order=[names[:1], names[1:]], api_name="/rank")
    assert set(ranked["versions"]) == set(names)
    assert set(ranked["versions"].values()) == {INITIAL, "v1"}
    second = ann.predict(language="en", api_name="/ranking")
    assert second["question"] != first["question"]
    ann.predict(ranking=second["ranking"], api_name="/skip_ranking")
    assert ann.predict(language="en", api_name="/ranking")["ranking"] not in {first["ranking"], second["ranking"]}
    ann.predict(language="en", api_name="/undo_ranking")
    assert ann.predict(language="en", api_name="/ranking") == second
    ann.predict(language="en", api_name="/undo_ranking")
    assert ann.predict(language="en", api_name="/ranking") == first
    assert rows(site, "SELECT count(*) FROM rankings WHERE undone_at IS NULL") == [(0,)]
    assert "nothing to undo" in refusal(ann, "/undo_ranking", language="en")


def test_a_ranking_can_be_in_chinese(ann: Client) -> None:
    assert re.search("[\u4e00-\u9fff]", ann.predict(language="zh", api_name="/ranking")["question"])


def test_without_a_cookie_nothing_is_done(site: Site) -> None:
    nobody = Client(site.url, verbose=False)
    before = rows(site, "SELECT count(*) FROM messages")
    for api_name, given in (
        ("/ask", {"text": "hello"}),
        ("/thumb", {"reply": "r", "value": "up"}),
        ("/correct", {"reply": "r", "text": "t"}),
        ("/duel_vote", {"duel": "d", "outcome": "left"}),
        ("/ranking", {}),
        ("/rank", {"ranking": "r", "order": [["0"]]}),
        ("/skip_ranking", {"ranking": "r"}),
        ("/undo_ranking", {}),
    ):
        assert "does not know you" in refusal(nobody, api_name, **given)
    assert rows(site, "SELECT count(*) FROM messages") == before


def test_nobody_judges_what_is_somebody_elses(ann: Client, site: Site) -> None:
    reply = asked(ann, "Mine alone")[-1]
    [duel] = asked(ann, "My duel", compare=True)
    ranking = ann.predict(api_name="/ranking")
    ben = somebody(site)
    assert "not yours" in refusal(ben, "/ask", text="hello", conversation=reply["conversation"])
    assert "not in a conversation of yours" in refusal(ben, "/thumb", reply=reply["reply"], value="up")
    assert "not in a conversation of yours" in refusal(ben, "/correct", reply=reply["reply"], text="Better.")
    assert "not yours" in refusal(ben, "/duel_vote", duel=duel["duel"], outcome="left")
    assert "not yours" in refusal(ben, "/rank", ranking=ranking["ranking"], order=[[n] for n in ranking["answers"]])
    assert "not yours" in refusal(ben, "/skip_ranking", ranking=ranking["ranking"])


@pytest.mark.parametrize(
    ("api_name", "given", "told"),
    [
        ("/ask", {"text": "  "}, "The message was empty"),
        ("/thumb", {"reply": "r", "value": "sideways"}, "give up, down or none"),
        ("/duel_vote", {"duel": "d", "outcome": "both"}, "give left, right, tie or both_bad"),
        ("/ranking", {"language": "tlh"}, "give en or zh"),
        ("/undo_ranking", {"language": "tlh"}, "give en or zh"),
        ("/rank", {"ranking": "r", "order": "0123"}, "a list of groups of answers"),
        ("/rank", {"ranking": "r", "order": [["0"], []]}, "a list of groups of answers"),
        ("/rank", {"ranking": "r", "order": [[0, 1]]}, "a list of groups of answers"),
        ("/rank", {"ranking": "<b>r</b>", "order": [["0"]]}, "not yours or does not exist"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(ann: Client, api_name: str, given: dict[str, Any], told: str) -> None:
    sentence = refusal(ann, api_name, **given)
    assert told in sentence
    assert "<" not in sentence
