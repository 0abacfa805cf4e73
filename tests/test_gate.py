"""The gate: every route of the site with every role, foreign pages and hosts, and whose a Gradio session is."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from demo.accounts import Role, add
from demo.bindings import Bindings
from demo.catalogue import Words
from demo.doors import Door, door_of
from demo.event_requests import LARGEST_BODY
from demo.gate import is_known_host
from demo.identity import COOKIE, SESSION, Visitors
from demo.languages import language_of_path
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import HOST_NAME, SECRET, SLOW, Site, Visitor, served

HOME = Path(__file__).parent.parent
PASSWORDS = {"Anna": "the password of the owner", "Ben": "the password of a user", "Carl": "the password of another"}
ROLES = ["nobody", "stranger", "user", "owner"]
"""No cookie; cookies that this installation did not sign; Ben; Anna."""

# What stands behind each route that the libraries bring. A route that is not here fails: somebody has to look at it.
DECLARED: dict[Door, str] = {
    Door.PAGE: r"/|/(rank|school|feedback|versions)/?",
    Door.OPEN: (
        r"/healthz|/login|/logout|/favicon\.ico|/robots\.txt|(/gradio_api)?/theme\.css|/(assets|static|svelte)/\{.+"
    ),
    Door.PEOPLE: (
        r"/config/?|/feedback/file|/gradio_api/((info|openapi\.json|app_id|login_check|reset|cancel)/?"
        r"|queue/(join|data|status)|(run|api|call)/.+|heartbeat/.+)"
    ),
    Door.CLOSED: (
        r"/login/|/openapi\.json|/manifest\.json|/monitoring.*|/pwa_icon.*"
        r"|/gradio_api/(custom_component|deep_link|dev|file|upload|proxy|runs|run-history|startup-events|stream|token|user"
        r"|undo-vibe-edit|vibe-|component_server|process_recording|profiling).*"
    ),
}


@cache
def routes() -> list[str]:
    """`METHOD path` of every route, in both languages, read from the app itself in a process of its own."""
    command = [sys.executable, "-m", "tests.list_routes"]
    with TemporaryDirectory() as folder:
        done = subprocess.run([*command, folder], capture_output=True, text=True, check=True, timeout=120)
    return sorted(set(done.stdout.split("\n")) - {""})


def declared(path: str) -> Door | None:
    """The door that this file declares for a route."""
    return next((door for door, pattern in DECLARED.items() if re.fullmatch(pattern, path)), None)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with accounts; its version `slow` answers."""
    folder = tmp_path_factory.mktemp("guarded")
    for name, password in PASSWORDS.items():
        add(folder / "accounts", name, password, Role.OWNER if name == "Anna" else Role.USER)
    with served(folder) as site:
        registry = VersionRegistry(site.database)
        registry.add(Version(SLOW, INITIAL, utc_now(), None, "base", "sha", VerdictKind.PROMOTED), [])
        registry.promote(SLOW, "a test")
        yield site


@pytest.fixture(scope="module")
def anonymous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("anonymous")) as site:
        yield site


@contextmanager
def logged_in(site: Site, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20) as client:
        form = {"name": name, "password": PASSWORDS[name]}
        answer = client.post("/login", data=form, headers={"Origin": site.url})
        assert answer.status_code == 303, answer.text
        yield client


@pytest.fixture(scope="module")
def clients(guarded: Site) -> Iterator[dict[str, httpx.Client]]:
    """A browser of each role."""
    with (
        httpx.Client(base_url=guarded.url, timeout=20) as nobody,
        httpx.Client(base_url=guarded.url, timeout=20) as stranger,
        logged_in(guarded, "Ben") as user,
        logged_in(guarded, "Anna") as owner,
    ):
        stranger.cookies.set(SESSION, "Anna.AAAA.BBBB")
        stranger.cookies.set(COOKIE, Visitors(SECRET).issue())  # anonymous: worth nothing where there are accounts
        yield {"nobody": nobody, "stranger": stranger, "user": user, "owner": owner}


def status_of(client: httpx.Client, method: str, path: str) -> tuple[int, str]:
    """The status and, for refusals, the text. A stream is left as soon as it begins."""
    given: dict[str, Any] = {"json": {}} if method == "POST" else {}
    headers = {"Accept-Language": "en", **({"Origin": str(client.base_url).rstrip("/")} if given else {})}
    with client.stream(method, path, headers=headers, **given) as answer:
        is_refusal = answer.status_code in {303, 401, 403, 404}
        return answer.status_code, answer.read().decode() if is_refusal else ""


# ---- every route with every role -----------------------------------------------------------------------------------


def test_every_route_is_declared_and_the_gate_has_the_same_list() -> None:
    assert len(routes()) > 100
    unlike = {}
    for route in routes():
        path = route.split(" ", 1)[1]
        bare = language_of_path(path)[1]
        if declared(bare) is None or door_of(re.sub(r"\{.+?\}", "x", bare)) is not declared(bare):
            unlike[path] = (declared(bare), door_of(re.sub(r"\{.+?\}", "x", bare)))
    assert unlike == {}


@pytest.mark.parametrize("role", ROLES)
def test_every_route_opens_for_whom_it_is_declared(clients: dict[str, httpx.Client], role: str) -> None:
    wrong = {}
    for route in routes():
        method, path = route.split(" ", 1)
        if path.endswith(("/logout", "/login")):
            continue  # these have their own tests
        door, filled = declared(language_of_path(path)[1]), re.sub(r"\{.+?\}", role, path)
        query = f"?session_hash={role}" if "queue/data" in path else ""
        status, text = status_of(clients[role], method, filled + query)
        known = role in {"user", "owner"}
        nothing = Words(language_of_path(path)[0])("common.nothing_here")
        holds = {
            Door.OPEN: status not in {401, 403} and nothing not in text,
            Door.PAGE: status in {200, 301, 307, 303} if known else status == 303,
            Door.PEOPLE: status not in {303, 401, 403} if known else status == 401,
            Door.CLOSED: status == 404 and text == ("" if method == "HEAD" else nothing),
            None: False,
        }[door]
        if not holds:
            wrong[route] = (status, text[:60])
    assert wrong == {}


@pytest.mark.parametrize("language", ["", "/zh"])
def test_a_page_without_a_session_leads_to_the_log_in_and_back(guarded: Site, language: str) -> None:
    with httpx.Client(base_url=guarded.url, timeout=20) as client:
        answer = client.get(f"{language}/school", headers={"Accept-Language": "en"})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/login?next={language}/school"


@pytest.mark.parametrize("path", ["//evil.example/", "/school/../config", "/ZH/school", "/gradio_api", "/zh/zh/"])
def test_no_spelling_of_a_path_slips_through(clients: dict[str, httpx.Client], path: str) -> None:
    answer = clients["nobody"].build_request("GET", clients["nobody"].base_url)
    answer.url = answer.url.copy_with(raw_path=path.encode())
    assert clients["nobody"].send(answer).status_code in {401, 404}


# ---- every event with every role -----------------------------------------------------------------------------------


def events_of(client: httpx.Client, language: str) -> list[dict[str, Any]]:
    """Every event of the pages that runs something on the server."""
    config = client.get(f"{language}/config").json()
    elements = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    for event in config["dependencies"]:
        event["told"] = [(elements.get(target), kind) for target, kind in event["targets"]]
    return [event for event in config["dependencies"] if event["backend_fn"]]


EVENT_DATA = {"id": "x", "index": 0, "value": {"text": "x"}, "liked": True, "order": []}


def fire(client: httpx.Client, language: str, event: dict[str, Any], data: list[Any] | None = None) -> dict[str, Any]:
    """Fire an event, honest or not; how the server answered."""
    session = f"s{id(object())}{event['id']}"
    given = [None] * len(event["inputs"]) if data is None else data
    body = {"data": given, "fn_index": event["id"], "session_hash": session, "event_data": EVENT_DATA}
    client.post(f"{language}/gradio_api/queue/join", json=body).raise_for_status()
    with client.stream("GET", f"{language}/gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                return dict(message)
    raise AssertionError("the stream ended without an answer")


@pytest.mark.parametrize(("language", "sentence"), [("", "does not know you"), ("/zh", "本页不认识您")])
def test_no_event_answers_a_visitor_whom_nobody_knows(anonymous: Site, language: str, sentence: str) -> None:
    with httpx.Client(base_url=anonymous.url, timeout=20) as client:
        events = events_of(client, language)
        assert len(events) > 15
        told = {str(event["told"]): fire(client, language, event)["output"] for event in events}
        assert {where: output for where, output in told.items() if sentence not in str(output.get("error"))} == {}


OWNER_ONLY = {"train": ("click", ["quick", False]), "why": ("click", [""])}


@pytest.mark.parametrize(("language", "sentence"), [("", "Only the owner"), ("/zh", "只有管理员")])
def test_what_is_the_owners_is_refused_to_a_user(
    clients: dict[str, httpx.Client], guarded: Site, language: str, sentence: str
) -> None:
    for event in events_of(clients["user"], language):
        for element, kind in event["told"]:
            if element in OWNER_ONLY and kind == OWNER_ONLY[element][0]:
                data = OWNER_ONLY[element][1]
                assert sentence in str(fire(clients["user"], language, event, data)["output"]["error"])
    assert not guarded.database.read().execute("SELECT 1 FROM nights").fetchall()


def test_the_owner_starts_a_night(clients: dict[str, httpx.Client]) -> None:
    [event] = [event for event in events_of(clients["owner"], "") if ("train", "click") in event["told"]]
    assert fire(clients["owner"], "", event, ["quick", False])["success"] is True


@pytest.mark.parametrize("forged", [{"username": "Anna"}, {"role": "owner"}, {"is_owner": True}])
def test_a_role_that_a_body_claims_counts_nothing(clients: dict[str, httpx.Client], forged: dict[str, Any]) -> None:
    [event] = [event for event in events_of(clients["user"], "") if ("why", "click") in event["told"]]
    for place in ("body", "cookies", "headers"):
        given: dict[str, Any] = {"json": {"data": [""], "fn_index": event["id"], "session_hash": f"forged{place}"}}
        if place == "body":
            given["json"] |= forged
        elif place == "headers":
            given["headers"] = {name: str(value) for name, value in forged.items()}
        else:
            clients["user"].cookies.update({name: str(value) for name, value in forged.items()})
        clients["user"].post("/gradio_api/queue/join", **given).raise_for_status()
        with clients["user"].stream("GET", f"/gradio_api/queue/data?session_hash=forged{place}") as stream:
            assert "Only the owner" in "".join(stream.iter_text())


# ---- foreign pages and hosts ---------------------------------------------------------------------------------------

OWN = "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("own", None, 200),
        ("own", "own", 200),
        (HOST_NAME, f"http://{HOST_NAME}", 200),
        ("own", "https://evil.example", 403),
        ("own", "null", 403),
        ("own", f"http://{OWN}:1", 403),
        ("own", "http://localhost", 403),
        ("own", f"http://{OWN}.evil.example", 403),
        ("own", "", 403),
        (HOST_NAME, "own", 403),
        ("evil.example", None, 421),
        ("evil.example", "http://evil.example", 421),
        ("evil.example:80", "own", 421),
        ("[bad", None, 421),
        (f"{HOST_NAME}.evil.example", f"http://{HOST_NAME}.evil.example", 421),
    ],
)
def test_only_our_own_pages_on_our_own_hosts_are_answered(
    anonymous: Site, host: str, origin: str | None, status: int
) -> None:
    own = anonymous.url.removeprefix("http://")
    headers = {"Host": own if host == "own" else host}
    if origin is not None:
        headers["Origin"] = anonymous.url if origin == "own" else origin
    for path in ("/healthz", "/zh/gradio_api/info"):
        answer = httpx.get(f"{anonymous.url}{path}", headers=headers, timeout=20)
        assert answer.status_code == status
        if status != 200:
            words = Words(language_of_path(path)[0])
            assert answer.text == words("common.foreign" if status == 403 else "common.unknown_host")
        assert "access-control-allow-origin" not in answer.headers or answer.status_code == 200
        if "evil" in str(origin) or origin == "null":
            assert "access-control-allow-origin" not in answer.headers
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_page_of_another_site_embeds_is_refused_but_its_links_work(anonymous: Site, site: str) -> None:
    embedded = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert httpx.get(f"{anonymous.url}/gradio_api/info", headers=embedded).status_code == 403
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert httpx.get(f"{anonymous.url}/", headers=link, timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("header", "is_ours"),
    [
        ("localhost:7860", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("192.0.2.7:80", True),  # an address is always the machine that was reached
        ("[::1]:7860", True),
        ("", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_a_host_is_an_address_or_a_name_of_ours(header: str, is_ours: bool) -> None:
    assert is_known_host(header, frozenset({"localhost"})) is is_ours


# ---- whose a session is --------------------------------------------------------------------------------------------


def others(site: Site) -> Iterator[tuple[str, httpx.Client]]:
    """Another user, and somebody who is nobody."""
    with logged_in(site, "Carl") as carl:
        yield "user", carl
    with httpx.Client(base_url=site.url, timeout=20) as nobody:
        yield "nobody", nobody


def test_nobody_else_can_hear_stop_or_use_a_running_session(guarded: Site) -> None:
    with logged_in(guarded, "Ben") as client:
        ben = Visitor(client)
        answers: list[dict[str, Any]] = []
        talk = threading.Thread(target=lambda: answers.append(ben.fire("box", "submit", "count to a thousand", "")))
        talk.start()
        event_id = wait_for_event(guarded, ben, client)
        body = {"session_hash": ben.session, "event_id": event_id, "fn_index": 0}
        for kind, other in others(guarded):
            refused = 403 if kind == "user" else 401
            mine = {"session_hash": "a session of my own", "event_id": event_id, "fn_index": 0}
            tries = [
                other.post("/gradio_api/cancel", json=body),
                other.post("/gradio_api/cancel", json=mine),
                other.post("/gradio_api/reset", json=body),
                other.post("/gradio_api/queue/join", json={"data": [], **body}),
                other.post("/gradio_api/run/predict", json={"data": [], **body}),
                other.post("/zh/gradio_api/cancel", json=body),
                other.get(f"/gradio_api/queue/data?session_hash={ben.session}"),
                other.get(f"/gradio_api/queue/data?session_hash=x&session_hash={ben.session}"),
                other.get(f"/gradio_api/heartbeat/{ben.session}"),
                other.get(f"/gradio_api/call/anything/{event_id}"),
                other.get(f"/gradio_api/call/v2/anything/{event_id}"),
            ]
            assert [answer.status_code for answer in tries] == [refused] * len(tries)
        assert talk.is_alive()  # nothing of that stopped the answer
        assert client.post("/gradio_api/cancel", json=body).status_code == 200
        talk.join(timeout=20)
        assert not talk.is_alive()


def wait_for_event(site: Site, visitor: Visitor, client: httpx.Client) -> str:
    """The id of the visitor's running event, once its answer is being written."""
    for _ in range(400):
        if (
            visitor.event_id
            and site.database.read().execute("SELECT 1 FROM replies WHERE status = 'streaming'").fetchall()
        ):
            return visitor.event_id
        threading.Event().wait(0.05)
    raise AssertionError("no answer began")


def test_a_session_is_its_persons_in_every_language_and_tab(guarded: Site) -> None:
    with logged_in(guarded, "Ben") as one, logged_in(guarded, "Ben") as another, logged_in(guarded, "Carl") as carl:
        body = {"session_hash": "a session of Ben's", "event_id": "e"}
        assert one.post("/gradio_api/reset", json=body).status_code == 200
        assert another.post("/zh/gradio_api/reset", json=body).status_code == 200
        assert carl.post("/gradio_api/reset", json=body).status_code == 403


def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(anonymous: Site) -> None:
    answer = httpx.post(f"{anonymous.url}/gradio_api/queue/join", content=b"x" * (LARGEST_BODY + 1), timeout=20)
    assert answer.status_code == 413


def test_bindings_forget_the_longest_unused_first() -> None:
    bindings = Bindings(most=2)
    for key in ("one", "two"):
        bindings.claim(key, "anna")
    bindings.claim("one", "anna")
    bindings.claim("three", "ben")
    assert [bindings.is_foreign(key, "carl") for key in ("one", "two", "three")] == [True, False, True]
    assert not bindings.is_foreign("one", "anna")
    assert bindings.is_foreign("one", None)
