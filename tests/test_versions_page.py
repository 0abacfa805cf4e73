"""The Versions page over HTTP: what strangers, visitors and the owner get, whatever their browsers say."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.accounts import Role, add
from nightschool.coevolution import COEVOLUTION
from nightschool.records import INITIAL
from nightschool.registry import VersionRegistry
from tests.lineage import V1, V2, V3, V5, add_lineage
from tests.served import Site, Visitor, served

ACTS = ("promote", "rollback", "confirm", "takeback", "receipts", "check", "try")
ACTS += ("do-promote", "do-rollback", "do-confirm", "do-takeback")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with served(folder) as running:
        add_lineage(running.database, folder / "versions", duels=4)
        yield running


@pytest.fixture
def owner(site: Site) -> Iterator[Visitor]:
    """Whoever sits at the machine itself."""
    with httpx.Client(base_url=site.url, timeout=60, headers={"Origin": site.url}) as client:
        client.get("/versions")
        yield Visitor(client)


@pytest.fixture
def guest(site: Site) -> Iterator[Visitor]:
    """Somebody who comes through a proxy."""
    headers = {"Origin": site.url, "X-Forwarded-For": "192.0.2.7"}
    with httpx.Client(base_url=site.url, timeout=60, headers=headers) as client:
        client.get("/versions")
        yield Visitor(client)


def chosen(visitor: Visitor, act: str, version: str, widget: str = "versions-tree") -> dict[str, Any]:
    return visitor.fire(widget, "chosen", given={"act": act, "version": version, "page": "0"})


def shown(answer: dict[str, Any]) -> str:
    assert answer["success"], answer
    return json.dumps(answer["output"], ensure_ascii=False)


def refused(answer: dict[str, Any]) -> str:
    assert not answer["success"]
    return str(answer["output"])


def page_of(visitor: Visitor, seen: str = "") -> str:
    [tick] = [
        each
        for each in visitor._config["dependencies"]
        if each["backend_fn"] and [event for _, event in each["targets"]] == ["tick"] and len(each["outputs"]) == 5
    ]
    body = {"data": [seen], "fn_index": tick["id"], "session_hash": visitor.session}
    answer = visitor.client.post("/gradio_api/run/predict", json=body)
    assert answer.is_success, answer.text
    return json.dumps(answer.json()["data"], ensure_ascii=False)


def champion(site: Site) -> str:
    return VersionRegistry(site.database).champion().id


@pytest.mark.parametrize("widget", ["versions-tree", "versions-now", "versions-sheet"])
@pytest.mark.parametrize("act", ACTS)
def test_a_guest_who_forges_an_event_is_refused_and_nothing_happens(
    site: Site, guest: Visitor, act: str, widget: str
) -> None:
    before = site.database.read().execute("SELECT count(*) FROM promotions").fetchone()
    assert "Only the owner may decide about versions" in refused(chosen(guest, act, V3, widget))
    assert site.database.read().execute("SELECT count(*) FROM promotions").fetchone() == before
    assert champion(site) == V5


def test_somebody_without_a_cookie_is_told_to_reload(site: Site) -> None:
    with httpx.Client(base_url=site.url, timeout=60, headers={"Origin": site.url}) as nobody:
        assert "reload the page" in refused(chosen(Visitor(nobody), "do-promote", V3))
    assert champion(site) == V5


def test_everybody_may_look_and_only_the_owner_has_buttons(owner: Visitor, guest: Visitor) -> None:
    for visitor, has_buttons in ((owner, True), (guest, False)):
        page = page_of(visitor)
        assert V5 in page
        assert ("data-act" in page) is has_buttons


def test_a_look_at_what_is_shown_already_sends_nothing(owner: Visitor) -> None:
    seen, page = "", page_of(owner)
    for _ in range(120):  # the leaderboard comes in meanwhile
        seen, page = json.loads(page)[0] if V5 in page else seen, page_of(owner, seen)
        if seen and V5 not in page:
            break
        time.sleep(0.5)
    assert V5 not in page
    assert V5 in page_of(owner, "something else")


def test_what_reward_models_think_is_shown_as_soon_as_a_night_has_written_it(folder: Path, owner: Visitor) -> None:
    page, made = page_of(owner), folder / "versions" / COEVOLUTION
    before = made.read_text(encoding="utf-8")
    assert "+9.25" not in page
    kept = json.loads(before)
    kept["scores"][V1][V5] = [score + 9.25 for score in kept["scores"][V1][INITIAL]]
    try:
        made.write_text(json.dumps(kept), encoding="utf-8")
        assert "+9.25" in page_of(owner, json.loads(page)[0])
    finally:
        made.write_text(before, encoding="utf-8")


def test_what_is_done_takes_two_steps(site: Site, owner: Visitor) -> None:
    asked = shown(chosen(owner, "promote", V3))
    assert "answers from the next reply on, in place of" in asked
    assert champion(site) == V5  # nothing is done yet
    assert f"{V3} answers from the next reply on." in shown(chosen(owner, "do-promote", V3, "versions-sheet"))
    assert champion(site) == V3
    assert f"{V5} answers from the next reply on." in shown(chosen(owner, "do-rollback", V5, "versions-sheet"))
    assert champion(site) == V5


@pytest.mark.parametrize("act", ["do-everything", "", "promote me"])
def test_an_act_that_no_button_has_is_refused(owner: Visitor, act: str) -> None:
    assert "never offers" in refused(chosen(owner, act, V3))


@pytest.mark.parametrize("act", ACTS)
def test_a_version_that_there_is_not_is_refused_in_words(site: Site, owner: Visitor, act: str) -> None:
    assert refused(chosen(owner, act, "<b>v9</b>"))
    assert champion(site) == V5 or act.startswith("do-")


def test_receipts_are_listed_and_checked(owner: Visitor) -> None:
    assert "was made from" in shown(chosen(owner, "receipts", V1))
    assert "the training set is the very same" in shown(chosen(owner, "check", V1))
    assert "deleted since" in shown(chosen(owner, "receipts", V2))


def test_a_trial_begins_with_a_conversation_whose_replies_that_version_writes(site: Site, owner: Visitor) -> None:
    answer = chosen(owner, "try", V3)
    [(conversation,)] = (
        site.database.read().execute("SELECT id FROM conversations WHERE tried_version = ?", [V3]).fetchall()
    )
    assert conversation in shown(answer)
    assert owner.fire("box", "submit", "who are you?", conversation)["success"]
    writers = site.database.read().execute(
        "SELECT r.version FROM replies r JOIN messages m ON m.id = r.id WHERE m.conversation_id = ?", [conversation]
    )
    assert writers.fetchall() == [(V3,)]


def test_a_conversation_on_trial_that_is_forged_by_a_guest_answers_nothing(
    site: Site, owner: Visitor, guest: Visitor
) -> None:
    shown(chosen(owner, "try", V1))
    [(conversation,)] = (
        site.database.read().execute("SELECT id FROM conversations WHERE tried_version = ?", [V1]).fetchall()
    )
    assert "not yours" in refused(guest.fire("box", "submit", "who are you?", conversation))
    assert "not yours" in refused(guest.fire("trial-end", "click", conversation))


def test_with_accounts_the_role_decides_also_in_a_trial_that_began_before(tmp_path: Path) -> None:
    passwords = {"Anna": "the password of the owner", "Ben": "the password of a user"}
    for name, password in passwords.items():
        add(tmp_path / "accounts", name, password, Role.OWNER if name == "Anna" else Role.USER)
    with served(tmp_path) as site, ExitStack() as stack:
        people = {}
        for name, password in passwords.items():
            client = stack.enter_context(httpx.Client(base_url=site.url, timeout=60, headers={"Origin": site.url}))
            assert client.post("/login", data={"name": name, "password": password}).status_code == 303
            people[name] = Visitor(client)
        assert "Only the owner" in refused(chosen(people["Ben"], "try", INITIAL))
        shown(chosen(people["Anna"], "try", INITIAL))
        [(conversation,)] = site.database.read().execute("SELECT id FROM conversations").fetchall()
        assert people["Anna"].fire("box", "submit", "who are you?", conversation)["success"]
        accounts = tmp_path / "accounts"
        accounts.write_text(accounts.read_text().replace(":owner", ":user"))  # Anna is no owner any more
        said = refused(people["Anna"].fire("box", "submit", "and now?", conversation))
        assert "Only the owner may try a version; end the trial of initial here" in said
        assert people["Anna"].fire("trial-end", "click", conversation)["success"]
        assert people["Anna"].fire("box", "submit", "and now?", conversation)["success"]
