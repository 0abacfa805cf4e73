"""What the chat page's own events do over HTTP: saves with an answer, forged data, the list, the style."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from nightschool.feedback import FeedbackStore
from nightschool.ids import new_id, utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.payloads import PAYLOADS
from tests.served import LONG, Site, Visitor, served

LISTED = 9
"""The place of the list among what an event draws that draws everything."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with httpx.Client(base_url=site.url, timeout=60) as client:
        client.get("/")
        yield Visitor(client)


def rows(site: Site, sql: str, *parameters: object) -> list[Any]:
    return list(site.database.read().execute(sql, list(parameters)).fetchall())


def talk(visitor: Visitor, site: Site, question: str) -> tuple[str, str]:
    """Ids of a new conversation and of its answer."""
    assert visitor.fire("box", "submit", question, "")["success"]
    return tuple(rows(site, "SELECT id, leaf_id FROM conversations WHERE title = ?", question)[0])


def props(answer: dict[str, Any], place: int = 0) -> Any:
    """What an event sent to the widget of its first output."""
    assert answer["success"], answer
    return answer["output"]["data"][place]["props"]


def test_a_thumb_is_answered_with_what_is_stored(visitor: Visitor, site: Site) -> None:
    conversation, reply = talk(visitor, site, "judged by event")
    given = {"number": 7, "id": reply, "value": "down", "reasons": ["wrong"], "comment": " so "}
    before = new_id()
    ack = props(visitor.fire("talk", "judged", conversation, given=given))["ack"]
    assert before < ack.pop("saved") < new_id()
    assert ack == {"number": 7, "ok": True, "judged": {"value": "down", "reasons": ["wrong"], "comment": "so"}}
    assert rows(site, "SELECT value, reasons, comment FROM thumbs WHERE reply_id = ?", reply) == [
        ("down", '["wrong"]', "so")
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": "no such reply"}, "not in a conversation of yours"),
        ({"id": 5}, "never offers"),
        ({"value": "sideways"}, "never offers"),
        ({"reasons": "wrong"}, "never offers"),
        ({"reasons": [{}]}, "never offers"),
        ({"reasons": ["helpful"]}, "not one of those offered"),
        ({"comment": None}, "never offers"),
        ({"comment": "x" * 3000}, "3,000 characters"),
    ],
)
def test_a_thumb_that_cannot_be_saved_is_answered_with_a_sentence(
    visitor: Visitor, site: Site, change: dict[str, Any], sentence: str
) -> None:
    conversation, reply = talk(visitor, site, f"not saved: {sentence} {sorted(change)}{len(str(change))}")
    given = {"number": 1, "id": reply, "value": "down", "reasons": [], "comment": "", **change}
    ack = props(visitor.fire("talk", "judged", conversation, given=given))["ack"]
    assert (ack["number"], ack["ok"]) == (1, False)
    assert sentence in ack["error"]
    assert rows(site, "SELECT * FROM thumbs WHERE reply_id = ?", reply) == []


def test_a_correction_is_answered_with_the_turn_as_it_is_now(visitor: Visitor, site: Site) -> None:
    conversation, reply = talk(visitor, site, "corrected by event")
    given = {"number": 1, "id": reply, "text": f"**better** {PAYLOADS[1]}"}
    answer = visitor.fire("talk", "corrected", conversation, given=given)
    turn = props(answer)["ack"]["turn"]
    assert (turn["id"], turn["corrected"], turn["last"]) == (reply, True, True)
    assert "your answer is the one that counts" in str(answer["output"]["data"][1])
    assert "<strong>better</strong> &lt;img" in turn["html"]
    turn = props(visitor.fire("talk", "corrected", conversation, given={**given, "text": None}))["ack"]["turn"]
    assert (turn["corrected"], turn["text"]) == (False, "a reply by initial")
    answer = visitor.fire("talk", "corrected", conversation, given={**given, "text": " "})
    assert "The correction is empty" in props(answer)["ack"]["error"]
    assert "Saved" not in str(answer["output"]["data"][1])  # nor what was said of an earlier click


def test_somebody_else_can_neither_judge_correct_branch_rename_nor_delete(visitor: Visitor, site: Site) -> None:
    conversation, reply = talk(visitor, site, "not for others")
    [(question,)] = rows(site, "SELECT parent_id FROM messages WHERE id = ?", reply)
    with httpx.Client(base_url=site.url, timeout=60) as client:
        client.get("/")
        stranger = Visitor(client)
        thumb = {"number": 1, "id": reply, "value": "up", "reasons": [], "comment": ""}
        assert not props(stranger.fire("talk", "judged", conversation, given=thumb))["ack"]["ok"]
        text = {"number": 1, "id": reply, "text": "mine"}
        assert not props(stranger.fire("talk", "corrected", conversation, given=text))["ack"]["ok"]
        for refused in (
            stranger.fire("talk", "branched", conversation, given={"id": question}),
            stranger.fire("talk", "edited", conversation, given={"id": question, "text": "mine"}),
            stranger.fire("talk", "waited", conversation),
            stranger.fire("conversations", "opened", given={"id": conversation}),
            stranger.fire("conversations", "renamed", "", given={"id": conversation, "title": "mine"}),
            stranger.fire("conversations", "removed", "", given={"id": conversation}),
            stranger.fire("conversations", "restored", given={"id": conversation}),
            stranger.fire("style", "kept", conversation, given={"system_prompt": "be rude"}),
        ):
            assert not refused["success"]
            assert "yours" in refused["output"]["error"] or "not on the page" in refused["output"]["error"]
        found = props(stranger.fire("conversations", "searched", given={"query": "not for others"}))["found"]
        assert found["entries"] == []
    assert rows(site, "SELECT title, deleted_at, system_prompt FROM conversations WHERE id = ?", conversation) == [
        ("not for others", None, "")
    ]


@pytest.mark.parametrize(
    ("widget", "event"),
    [
        ("talk", "branched"), ("talk", "voted"), ("talk", "edited"), ("talk", "exampled"), ("conversations", "opened"),
        ("conversations", "renamed"), ("conversations", "removed"), ("conversations", "restored"),
        ("conversations", "searched"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", [None, {}, {"id": ["x"], "outcome": 1, "duel": {}, "text": 5, "query": None}])
def test_an_event_without_what_it_needs_is_refused_in_a_sentence(
    visitor: Visitor, widget: str, event: str, given: object
) -> None:
    answer = visitor.fire(widget, event, given=given)
    assert not answer["success"]
    assert "reload" in answer["output"]["error"]


@pytest.mark.parametrize(
    "style",
    [
        {"temperature": "hot"},
        {"temperature": True},
        {"max_new_tokens": 1e400},
        {"system_prompt": 3},
        {"temperature": 9},
    ],
)
def test_a_forged_style_is_refused_and_asks_nothing(visitor: Visitor, site: Site, style: dict[str, Any]) -> None:
    question = f"with a forged style {style}"
    answer = visitor.client.post("/gradio_api/queue/join?", content="x")  # no JSON at all
    assert answer.status_code in (400, 422)
    if style.get("max_new_tokens"):
        style = {"max_new_tokens": 10**400}  # JSON has no infinity
    assert not visitor.fire("box", "submit", question, "", style)["success"]
    assert rows(site, "SELECT * FROM conversations WHERE title = ?", question) == []


def test_a_deleted_conversation_leaves_the_list_and_comes_back(visitor: Visitor, site: Site) -> None:
    conversation, _ = talk(visitor, site, "delete by event")
    answer = visitor.fire("conversations", "removed", conversation, given={"id": conversation})
    assert answer["success"]
    listed = answer["output"]["data"][LISTED]
    assert listed["props"]["gone"]["id"] == conversation
    assert listed["value"]["entries"] == []
    answer = visitor.fire("conversations", "restored", given={"id": conversation})
    assert [entry["title"] for entry in answer["output"]["data"][LISTED]["entries"]] == ["delete by event"]


def test_a_conversation_deleted_while_it_is_answered_ends_without_an_error(visitor: Visitor, site: Site) -> None:
    registry = VersionRegistry(site.database)
    registry.add(Version(LONG, INITIAL, utc_now(), None, "base", "sha", VerdictKind.REJECTED), [])
    registry.promote(LONG, "a test")
    question = "deleted meanwhile"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(visitor.fire, "box", "submit", question, "")
        sql = """SELECT c.id, c.person_id FROM conversations c JOIN replies r ON r.id = c.leaf_id
                 WHERE c.title = ? AND r.status = 'streaming'"""
        while not (found := rows(site, sql, question)) and not answer.done():
            time.sleep(0.01)
        registry.promote(INITIAL, "the test is over")
        FeedbackStore(site.database).set_deleted(*found[0], True)
        assert answer.result()["success"]


def test_no_answer_before_the_vote_names_a_version(visitor: Visitor, site: Site) -> None:
    # The texts of the scripted engine name their version; everything else must not.
    assert visitor.fire("compare", "click", "a blind duel", "")["success"]
    [(conversation, duel, left, right)] = rows(
        site,
        """SELECT c.id, d.id, d.left_reply, d.right_reply FROM conversations c JOIN duels d ON d.conversation_id = c.id
           WHERE c.title = 'a blind duel'""",
    )
    for answer in (
        visitor.fire("conversations", "opened", given={"id": conversation}),
        visitor.fire("conversations", "searched", given={"query": "blind"}),
    ):
        sent = str(answer["output"]["data"])
        assert answer["success"]
        assert left not in sent
        assert right not in sent
        assert "initial" not in sent.replace("reply by initial", "")
    told = str(visitor.fire("talk", "voted", conversation, given={"duel": duel, "outcome": "skip"})["output"]["data"])
    assert "<b>initial</b>" in told


@pytest.mark.parametrize("given", [None, {}, {"text": 5}])
def test_a_forged_correction_is_refused_and_changes_nothing(visitor: Visitor, site: Site, given: object) -> None:
    conversation, reply = talk(visitor, site, f"a forged correction {given}")
    answer = visitor.fire("talk", "corrected", conversation, given=given)
    assert not answer["success"] or not props(answer)["ack"]["ok"]
    assert rows(site, "SELECT * FROM corrections WHERE reply_id = ?", reply) == []
