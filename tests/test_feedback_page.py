"""The Feedback page over HTTP: what strangers, visitors and the owner get, whatever their browsers say."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from demo.accounts import Role, add
from demo.identity import COOKIE
from nightschool.browsing import FeedbackFilter, FeedbackKind
from nightschool.feedback import FeedbackStore
from tests.judged import judge_everything
from tests.served import Site, Visitor, served

EVERYBODY = {"scope": "all"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def store(site: Site) -> FeedbackStore:
    return FeedbackStore(site.database)


class Judge(Visitor):
    """A new visitor who judged one thing of every kind."""

    def __init__(self, site: Site, client: httpx.Client) -> None:
        client.get("/feedback")
        self.person = site.visitors.read({COOKIE: client.cookies[COOKIE]}) or ""
        judge_everything(FeedbackStore(site.database), self.person, f"A question of {self.person}?")
        super().__init__(client)


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20, headers={"Origin": site.url}) as opened:
        yield opened


@pytest.fixture
def owner(site: Site, client: httpx.Client) -> Judge:
    """Whoever sits at the machine itself."""
    return Judge(site, client)


@pytest.fixture
def guest(site: Site) -> Iterator[Judge]:
    """Somebody who comes through a proxy."""
    headers = {"Origin": site.url, "X-Forwarded-For": "192.0.2.7"}
    with httpx.Client(base_url=site.url, timeout=20, headers=headers) as opened:
        yield Judge(site, opened)


def shown(answer: dict[str, Any]) -> str:
    assert answer["success"], answer
    return json.dumps(answer["output"], ensure_ascii=False)


def refused(answer: dict[str, Any]) -> str:
    assert not answer["success"]
    return str(answer["output"])


# ---- looking and deleting ------------------------------------------------------------------------------------------


def test_a_visitor_sees_their_own_feedback_and_nobody_elses(owner: Judge, guest: Judge) -> None:
    for one, other in ((owner, guest), (guest, owner)):
        page = shown(one.fire("feedback-filter", "filtered", {}))
        assert f"A question of {one.person}?" in page
        assert other.person not in page


def test_a_guest_who_asks_for_everybodys_is_refused_and_the_owner_is_not(owner: Judge, guest: Judge) -> None:
    assert "Only the owner" in refused(guest.fire("feedback-filter", "filtered", EVERYBODY))
    page = shown(owner.fire("feedback-filter", "filtered", EVERYBODY))
    assert guest.person in page


def test_somebody_without_a_cookie_is_told_to_reload(site: Site) -> None:
    with httpx.Client(base_url=site.url, timeout=20, headers={"Origin": site.url}) as nobody:
        answer = Visitor(nobody).fire("feedback-filter", "filtered", {})
        assert "reload the page" in refused(answer)
        assert nobody.get("/feedback/file").status_code == 403
        assert nobody.post("/feedback/file", content=b"{}").status_code == 403


def test_a_forged_id_deletes_nothing_of_somebody_elses(owner: Judge, guest: Judge, store: FeedbackStore) -> None:
    for item in store.feedback(FeedbackFilter(person_id=owner.person)):
        data = {"kind": item.kind, "id": item.id, "page": "0"}
        assert "not yours" in refused(guest.fire("feedback-list", "deleted", {}, given=data))
        assert "Only the owner" in refused(guest.fire("feedback-list", "deleted", EVERYBODY, given=data))
    assert store.count_feedback(FeedbackFilter(person_id=owner.person)).total == 6
    wrong = {"kind": "people", "id": owner.person, "page": "x"}
    assert "not yours" in refused(owner.fire("feedback-list", "deleted", {}, given=wrong))


def test_the_owner_deletes_an_item_of_a_guest(owner: Judge, guest: Judge, store: FeedbackStore) -> None:
    [item] = store.feedback(FeedbackFilter(person_id=guest.person, kind=FeedbackKind.CORRECTION))
    data = {"kind": item.kind, "id": item.id, "page": "0"}
    assert "Deleted for good." in shown(owner.fire("feedback-list", "deleted", EVERYBODY, given=data))
    assert store.count_feedback(FeedbackFilter(person_id=guest.person)).total == 5


def test_consent_is_stored_and_said(guest: Judge, store: FeedbackStore) -> None:
    assert "no longer used for training" in shown(guest.fire("consent-switch", "input", False))
    assert not store.consent(guest.person)
    assert "may be used for training" in shown(guest.fire("consent-switch", "input", True))
    assert store.consent(guest.person)


def test_everything_goes_in_two_steps(owner: Judge, guest: Judge, store: FeedbackStore) -> None:
    asked = shown(guest.fire("erase", "click"))
    assert "judgements: 6, conversations: 1" in asked
    assert store.count_feedback(FeedbackFilter(person_id=guest.person)).total == 6  # nothing is gone yet
    assert "Deleted for good (judgements: 6" in shown(guest.fire("erase-yes", "click", {}))
    assert store.count_feedback(FeedbackFilter(person_id=guest.person)).total == 0
    assert store.conversations(guest.person) == []
    assert store.count_feedback(FeedbackFilter(person_id=owner.person)).total == 6


def test_conditions_that_no_page_has_are_refused_in_a_sentence(guest: Judge) -> None:
    answer = guest.fire("feedback-filter", "filtered", {"kind": "tea"})
    assert "These conditions cannot be read" in refused(answer)


# ---- files ---------------------------------------------------------------------------------------------------------


def test_the_list_is_downloaded_and_no_cache_keeps_it(owner: Judge) -> None:
    answer = owner.client.get("/feedback/file", params={"format": "list"})
    assert answer.headers["content-disposition"] == 'attachment; filename="nightschool-list.jsonl"'
    assert answer.headers["cache-control"] == "no-store"
    assert {json.loads(line)["person"] for line in answer.text.splitlines()} == {owner.person}


@pytest.mark.parametrize(("shape", "count"), [("trl-preference", 4), ("kto", 4), ("sft", 2)])
def test_files_for_trainers_come_as_lines_and_as_parquet(owner: Judge, shape: str, count: int) -> None:
    lines = owner.client.get("/feedback/file", params={"format": shape, "ending": ".jsonl"})
    table = owner.client.get("/feedback/file", params={"format": shape, "ending": ".parquet"})
    rows = [json.loads(line) for line in lines.text.splitlines()]
    assert len(rows) == count
    assert pq.read_table(io.BytesIO(table.content)).to_pylist() == rows


def test_a_guest_downloads_their_own_only(owner: Judge, guest: Judge) -> None:
    for shape in ("list", "trl-preference", "kto", "sft"):
        everybodys = {"format": shape, "wanted": json.dumps(EVERYBODY)}
        answer = guest.client.get("/feedback/file", params=everybodys)
        assert answer.status_code == 400
        assert "Only the owner" in answer.json()["sentence"]
        assert owner.person not in guest.client.get("/feedback/file", params={"format": shape}).text
        assert guest.person in owner.client.get("/feedback/file", params=everybodys).text


def test_what_is_no_file_is_refused_in_a_sentence(owner: Judge) -> None:
    for asked in ({"format": "dpo"}, {"format": "kto", "ending": ".exe"}, {"format": "list", "ending": ".parquet"}):
        answer = owner.client.get("/feedback/file", params=asked)
        assert answer.status_code == 400
        assert "choose one" in answer.json()["sentence"]


def test_a_file_is_imported_by_the_owner_and_by_nobody_else(owner: Judge, guest: Judge, store: FeedbackStore) -> None:
    content = owner.client.get("/feedback/file", params={"format": "kto", "ending": ".parquet"}).content
    before = store.count_feedback(FeedbackFilter()).total
    answer = guest.client.post("/feedback/file", params={"name": "mine.parquet"}, content=content)
    assert (answer.status_code, "Only the owner may import" in answer.json()["sentence"]) == (400, True)
    assert store.count_feedback(FeedbackFilter()).total == before
    answer = owner.client.post("/feedback/file", params={"name": "mine.parquet"}, content=content)
    assert answer.json() == {"added": 4, "known": 0}
    assert owner.client.post("/feedback/file", content=content).json() == {"added": 0, "known": 4}
    assert store.count_feedback(FeedbackFilter()).total == before + 4


def test_a_malformed_file_is_refused_with_its_line(owner: Judge, store: FeedbackStore) -> None:
    good = owner.client.get("/feedback/file", params={"format": "sft"}).text.splitlines()
    before = store.count_feedback(FeedbackFilter()).total
    content = "\n".join([*good, '{"messages": []}']).encode()
    answer = owner.client.post("/feedback/file", params={"name": "texts.jsonl"}, content=content)
    assert answer.status_code == 400
    assert answer.json()["sentence"].startswith("Line 3 of texts.jsonl cannot be used (messages is missing")
    assert store.count_feedback(FeedbackFilter()).total == before


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_a_page_of_another_site_imports_nothing(owner: Judge, site: Site, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    cookies = {COOKIE: owner.client.cookies[COOKIE]}
    with httpx.Client(base_url=site.url, cookies=cookies, headers=headers) as foreign:
        assert foreign.post("/feedback/file", content=b"{}").status_code == (403 if origin else 400)


# ---- accounts ------------------------------------------------------------------------------------------------------


def test_with_accounts_the_role_decides_and_the_owner_reads_names(tmp_path: Path) -> None:
    passwords = {"Anna": "the password of the owner", "Ben <b>": "the password of a user"}
    for name, password in passwords.items():
        add(tmp_path / "accounts", name, password, Role.OWNER if name == "Anna" else Role.USER)
    with served(tmp_path) as site, ExitStack() as stack:
        people = {}
        for name, password in passwords.items():
            client = stack.enter_context(httpx.Client(base_url=site.url, timeout=20, headers={"Origin": site.url}))
            assert client.post("/login", data={"name": name, "password": password}).status_code == 303
            judge_everything(FeedbackStore(site.database), site.visitors.person_of_name(name), f"A question of {name}?")
            people[name] = Visitor(client)
        everybodys = shown(people["Anna"].fire("feedback-filter", "filtered", EVERYBODY))
        assert '"name": "Ben <b>"' in everybodys
        assert "A question of Ben <b>?" in everybodys
        assert "Only the owner" in refused(people["Ben <b>"].fire("feedback-filter", "filtered", EVERYBODY))
        own = shown(people["Ben <b>"].fire("feedback-filter", "filtered", {}))
        assert "Anna" not in own
        assert (
            people["Ben <b>"].client.get("/feedback/file", params={"wanted": json.dumps(EVERYBODY)}).status_code == 400
        )
        assert "A question of Anna?" not in people["Ben <b>"].client.get("/feedback/file").text
