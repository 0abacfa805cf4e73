"""Logging in and out over HTTP, and the language in which pages are sent."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from demo.accounts import Role, add
from demo.attempts import PER_NAME
from demo.identity import COOKIE, SESSION
from demo.login import LARGEST_FORM
from tests.served import Site, served

PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded")
    add(folder / "accounts", "Anna", PASSWORD, Role.OWNER)
    add(folder / "accounts", "小明", PASSWORD, Role.USER)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with served(folder) as running:
        yield running


@pytest.fixture(scope="module")
def anonymous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("anonymous")) as running:
        yield running


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20, headers={"Accept-Language": "en"}) as opened:
        yield opened


def log_in(client: httpx.Client, name: str, password: str, path: str = "/login", **more: str) -> httpx.Response:
    form = {"name": name, "password": password, **more}
    return client.post(path, data=form, headers={"Origin": str(client.base_url).rstrip("/")})


# ---- in and out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Anna", "小明"])
def test_a_right_password_opens_the_page_that_was_asked_for(client: httpx.Client, name: str) -> None:
    answer = log_in(client, name, PASSWORD, next="/school")
    assert (answer.status_code, answer.headers["location"]) == (303, "/school")
    assert client.get("/school").status_code == 200
    assert client.get("/login").headers["location"] == "/"  # nothing to log in to any more


def test_the_session_cookie_is_closed_to_scripts_and_other_sites(client: httpx.Client) -> None:
    cookie = log_in(client, "Anna", PASSWORD).headers["set-cookie"]
    assert cookie.startswith(f"{SESSION}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=2592000"} <= set(cookie.split("; "))
    assert "Anna" not in cookie or "Secure" not in cookie  # plain http on this machine


def test_behind_https_the_session_cookie_is_sent_by_https_only(client: httpx.Client) -> None:
    client.headers["X-Forwarded-Proto"] = "https"  # uvicorn believes a proxy on this machine
    assert "Secure" in log_in(client, "Anna", PASSWORD).headers["set-cookie"].split("; ")


@pytest.mark.parametrize(
    ("path", "sentence"), [("/login", "The name or the password is not right"), ("/zh/login", "用户名或密码不正确")]
)
def test_a_wrong_password_is_told_and_the_name_kept(client: httpx.Client, path: str, sentence: str) -> None:
    answer = log_in(client, '"><img src=x onerror=alert(1)>', "wrong", path)
    assert answer.status_code == 401
    assert sentence in answer.text
    assert "<img src=x" not in answer.text
    assert "&lt;img src=x" in answer.text
    assert SESSION not in answer.cookies
    assert client.get("/").status_code == 303


def test_guessing_is_stopped_after_five_tries_and_a_right_password_then_waits_too(client: httpx.Client) -> None:
    name = "guessed at"
    assert [log_in(client, name, str(number)).status_code for number in range(PER_NAME)] == [401] * PER_NAME
    answer = log_in(client, name, PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 61
    assert "Too many tries" in answer.text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
@pytest.mark.parametrize("path", ["/login", "/zh/login", "/logout", "/zh/logout"])
def test_a_form_of_another_site_or_without_an_origin_is_refused(site: Site, origin: str | None, path: str) -> None:
    headers = {} if origin is None else {"Origin": origin}
    form = {"name": "Anna", "password": PASSWORD}
    answer = httpx.post(f"{site.url}{path}", data=form, headers=headers, timeout=20)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/healthz", "javascript:alert(1)", "/zh//x"],
)
def test_a_log_in_never_leads_to_another_site(client: httpx.Client, target: str) -> None:
    assert 'value="/"' in client.get("/login", params={"next": target}).text
    assert log_in(client, "Anna", PASSWORD, next=target).headers["location"] == "/"


def test_a_form_that_is_too_large_is_nobodys(client: httpx.Client) -> None:
    assert log_in(client, "Anna", PASSWORD, more="x" * LARGEST_FORM).status_code == 401


def test_logging_out_ends_the_session_of_this_browser(client: httpx.Client) -> None:
    log_in(client, "Anna", PASSWORD)
    copy = client.cookies[SESSION]
    answer = client.post("/zh/logout", headers={"Origin": str(client.base_url).rstrip("/")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/zh/login")
    assert client.get("/").status_code == 303
    assert client.get("/config").status_code == 401
    copied = httpx.get(str(client.base_url.join("/config")), cookies={SESSION: copy}, timeout=20)
    assert copied.status_code == 401  # the session has ended, not only its cookie
    log_in(client, "Anna", PASSWORD)
    assert client.get("/config").status_code == 200


def test_a_removed_person_and_a_changed_password_are_out_at_the_next_request(
    client: httpx.Client, folder: Path
) -> None:
    add(folder / "accounts", "Dora", PASSWORD, Role.USER)
    log_in(client, "Dora", PASSWORD)
    assert client.get("/").status_code == 200
    add(folder / "accounts", "Dora", "her new password", Role.USER)
    assert client.get("/").status_code == 303
    log_in(client, "Dora", "her new password")
    assert client.get("/").status_code == 200
    text = (folder / "accounts").read_text(encoding="utf-8")
    (folder / "accounts").write_text(text[: text.index("Dora:")], encoding="utf-8")
    assert client.get("/").status_code == 303
    assert client.get("/gradio_api/info").status_code == 401


def test_a_broken_accounts_file_is_told_on_the_log_in_page(client: httpx.Client, folder: Path) -> None:
    path = folder / "accounts"
    text = path.read_text(encoding="utf-8")
    path.write_text("what is this?\n", encoding="utf-8")
    try:
        answer = log_in(client, "Anna", PASSWORD)
    finally:
        path.write_text(text, encoding="utf-8")
    assert answer.status_code == 503
    assert "Nobody can log in at the moment" in answer.text
    assert "what is this" not in answer.text


def test_without_accounts_there_is_nothing_to_log_in_to(anonymous: Site) -> None:
    assert httpx.get(f"{anonymous.url}/login").headers["location"] == "/"
    origin = {"Origin": anonymous.url}
    assert httpx.post(f"{anonymous.url}/login", data={"name": "Anna"}, headers=origin).status_code == 403


def test_with_accounts_no_anonymous_cookie_is_given(client: httpx.Client) -> None:
    assert COOKIE not in client.get("/").cookies


# ---- languages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/school"])
def test_the_browsers_language_leads_to_the_pages_of_that_language(anonymous: Site, path: str) -> None:
    with httpx.Client(base_url=anonymous.url, timeout=20) as client:
        answer = client.get(f"{path}?c=1", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/zh{path}?c=1")
        assert "Accept-Language" in answer.headers["vary"]
        page = client.get(f"/zh{path}", headers={"Accept-Language": "zh-CN"})
        assert page.status_code == 200
        assert '<html\n\tlang="zh-CN"' in page.text
        assert page.text.index("nightschoolLanguage = 'zh-CN'") < page.text.index("window.gradio_config")
        assert 'lang="en"' in client.get(path, headers={"Accept-Language": "en"}).text[:60]


def test_a_chosen_language_stays_whatever_the_browser_asks_for(anonymous: Site) -> None:
    with httpx.Client(base_url=anonymous.url, timeout=20, headers={"Accept-Language": "zh"}) as client:
        answer = client.get("/zh/school?language=en")
        assert (answer.status_code, answer.headers["location"]) == (303, "/school")
        assert client.get("/school").status_code == 200
        assert client.get("/school?language=zh").headers["location"] == "/zh/school"
        assert client.get("/school").headers["location"] == "/zh/school"
        assert client.get("/zh/school?language=tlh").status_code == 200


def test_a_page_of_one_language_names_no_other_host_in_its_head(anonymous: Site) -> None:
    for path in ("/", "/zh/", "/school", "/zh/school"):
        page = httpx.get(f"{anonymous.url}{path}", headers={"Accept-Language": "en"}, timeout=20).text
        head = page.partition("window.gradio_config")[0]
        assert "githubusercontent" not in head
        assert "gradio.app" not in head


def test_the_log_in_page_speaks_the_visitors_language_and_can_be_switched(site: Site) -> None:
    with httpx.Client(base_url=site.url, timeout=20, headers={"Accept-Language": "zh"}) as client:
        answer = client.get("/login?next=/school")
        assert answer.headers["location"] == "/zh/login?next=/school"
        assert "登录" in client.get(answer.headers["location"]).text
        answer = client.get("/zh/login?language=en&next=/zh/school", follow_redirects=True)
        assert "Password" in answer.text
        assert log_in(client, "Anna", PASSWORD, next="/zh/school").headers["location"] == "/school"
