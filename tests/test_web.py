"""The HTTP side: cookies, origins, headers, and what a stranger with a forged request can do (nothing)."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from itsdangerous import URLSafeSerializer

from demo.identity import COOKIE, Visitors, load_secret
from nightschool.errors import StoreError
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import BROKEN, SECRET, Site, Visitor, served


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20) as opened:
        yield opened


@pytest.fixture
def visitor(client: httpx.Client) -> Visitor:
    client.get("/")
    return Visitor(client)


def rows(site: Site, sql: str) -> list[Any]:
    return list(site.database.read().execute(sql).fetchall())


def test_the_card_of_an_answer_is_for_its_own_person_and_only_once_there_is_one(
    visitor: Visitor, client: httpx.Client, site: Site
) -> None:
    assert "ask something first" in str(visitor.fire("why", "click", ""))
    assert visitor.fire("box", "submit", "why is that so?", "")["success"]
    [(conversation_id,)] = rows(site, "SELECT id FROM conversations WHERE title = 'why is that so?'")
    card = str(visitor.fire("why", "click", conversation_id))
    assert "v7" in card
    assert "+1.25" in card
    assert "+3.50" in card
    with httpx.Client(base_url=site.url, timeout=20) as other:
        other.get("/")
        stranger = Visitor(other)
        assert not stranger.fire("why", "click", conversation_id)["success"]


@pytest.mark.parametrize(
    ("header", "value"),
    [("X-Forwarded-For", "192.0.2.7"), ("X-Real-IP", "192.0.2.7"), ("Host", "nightschool.example")],
)
def test_a_visitor_behind_a_proxy_is_not_taken_for_the_owner(site: Site, header: str, value: str) -> None:
    with httpx.Client(base_url=site.url, timeout=20, headers={header: value}) as client:
        client.get("/")
        visitor = Visitor(client)
        assert visitor.fire("box", "submit", f"asked with {header}", "")["success"]
        [(conversation_id,)] = rows(site, f"SELECT id FROM conversations WHERE title = 'asked with {header}'")
        assert "Only the owner" in str(visitor.fire("why", "click", conversation_id))


def test_the_health_check_names_the_champion_and_the_model(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"ok": True, "champion": "initial", "model": "scripted"}


@pytest.mark.parametrize("path", ["/", "/school", "/healthz", "/config", "/nothing-here"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "img-src 'self' data:;" in headers["content-security-policy"]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_a_page_gives_a_new_visitor_a_cookie_that_scripts_cannot_read(client: httpx.Client, site: Site) -> None:
    answer = client.get("/")
    assert site.visitors.read({COOKIE: answer.cookies[COOKIE]})
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    assert "set-cookie" not in client.get("/").headers  # known from now on
    assert "set-cookie" not in client.get("/school").headers


def test_only_pages_give_out_identities(client: httpx.Client) -> None:
    for path in ("/healthz", "/config", "/gradio_api/info"):
        assert COOKIE not in client.get(path).cookies
    assert COOKIE not in client.post("/gradio_api/queue/join", json={}).cookies


@pytest.mark.parametrize(
    "forged",
    [
        "anna",
        "",
        URLSafeSerializer(b"another secret, of another installation", salt="nightschool-person").dumps("anna"),
        URLSafeSerializer(SECRET, salt="another purpose").dumps("anna"),
        URLSafeSerializer(SECRET, salt="nightschool-person").dumps(["anna"]),
    ],
)
def test_a_forged_cookie_is_nobody(site: Site, forged: str) -> None:
    assert site.visitors.read({COOKIE: forged}) is None
    with httpx.Client(base_url=site.url, cookies={COOKIE: forged}, timeout=20) as client:
        answer = Visitor(client).fire("box", "submit", "hello", "")
        assert answer["success"] is False
        assert "reload the page" in answer["output"]["error"]
        assert site.visitors.read({COOKIE: httpx.get(site.url, cookies={COOKIE: forged}).cookies[COOKIE]})
    assert not rows(site, "SELECT 1 FROM people WHERE id = 'anna'")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"])
def test_a_request_from_a_page_of_another_site_is_refused(client: httpx.Client, origin: str, path: str) -> None:
    answer = client.post(path, json={}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert client.options(path, headers={"Origin": origin}).status_code == 403


def test_a_request_from_our_own_page_is_not_refused(client: httpx.Client, site: Site) -> None:
    assert client.post("/gradio_api/queue/join", json={}, headers={"Origin": site.url}).status_code != 403


def test_nobody_can_leave_a_file_or_fetch_one_through_gradio(client: httpx.Client) -> None:
    assert client.post("/gradio_api/upload", files={"files": ("small.txt", b"x")}).status_code == 404
    for path in ("/etc/passwd", "feedback.db", "../feedback.db", "%2e%2e/feedback.db.secret"):
        assert client.get(f"/gradio_api/file={path}").status_code == 404
        assert client.get(f"/gradio_api/file/{path}").status_code == 404


def test_no_page_holds_a_connection_per_tab(client: httpx.Client) -> None:
    # With one gr.State each tab keeps a heartbeat open and the sixth tab of a browser hangs.
    assert client.get("/config").json()["connect_heartbeat"] is False


def test_a_question_is_stored_under_the_person_of_the_cookie(visitor: Visitor, site: Site) -> None:
    assert visitor.fire("box", "submit", "whose question is this?", "")["success"]
    person_id = site.visitors.read(dict(visitor.client.cookies))
    sql = "SELECT person_id FROM conversations WHERE title = 'whose question is this?'"
    assert rows(site, sql) == [(person_id,)]


def test_somebody_else_can_neither_open_nor_judge_a_conversation(visitor: Visitor, site: Site) -> None:
    assert visitor.fire("compare", "click", "a private question", "")["success"]
    [(conversation_id, duel_id)] = rows(
        site,
        """SELECT c.id, d.id FROM conversations c JOIN duels d ON d.conversation_id = c.id
           WHERE c.title = 'a private question'""",
    )
    with httpx.Client(base_url=site.url, timeout=20) as other:
        other.get("/")
        stranger = Visitor(other)
        for answer in (
            stranger.fire("talk", "voted", conversation_id, given={"duel": duel_id, "outcome": "left"}),
            stranger.fire("box", "submit", "what did they ask?", conversation_id),
            stranger.fire("talk", "regenerated", conversation_id),
        ):
            assert answer["success"] is False
            assert "not yours" in answer["output"]["error"]
    assert rows(site, f"SELECT outcome FROM duels WHERE id = '{duel_id}'") == [(None,)]


def test_a_broken_engine_shows_a_sentence_and_no_traceback(visitor: Visitor, site: Site) -> None:
    registry = VersionRegistry(site.database)
    registry.add(Version(BROKEN, INITIAL, utc_now(), None, "base", "sha", VerdictKind.PROMOTED), [])
    registry.promote(BROKEN, "a test")
    try:
        answer = visitor.fire("box", "submit", "break, please", "")
    finally:
        registry.promote(INITIAL, "the test is over")
    assert answer["success"] is False
    assert "press Regenerate" in answer["output"]["error"]
    assert "on purpose" not in str(answer)
    assert "Traceback" not in str(answer)


def test_what_people_wrote_is_escaped_in_error_messages(visitor: Visitor) -> None:
    given = {"duel": "<img src=x onerror=alert(1)>", "outcome": "left"}
    answer = visitor.fire("talk", "voted", "<b>no such conversation</b>", given=given)
    assert answer["success"] is False
    assert "<" not in answer["output"]["error"]


# ---- the secret ----------------------------------------------------------------------------------------------------


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db.secret"
    secret = load_secret(path)
    assert len(secret) >= 32
    assert load_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]


def test_servers_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    found: list[bytes] = []
    start = threading.Barrier(8)

    def open_shop() -> None:
        start.wait()
        found.append(load_secret(tmp_path / "secret"))

    threads = [threading.Thread(target=open_shop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_secret_that_cannot_be_kept_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not be read or made"):
        load_secret(tmp_path / "no folder" / "secret")
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(StoreError, match="too short"):
        load_secret(tmp_path / "short")


def test_a_cookie_survives_a_restart_of_the_server() -> None:
    cookie = Visitors(b"the same secret, kept in its file").issue()
    assert Visitors(b"the same secret, kept in its file").read({COOKIE: cookie}) is not None
