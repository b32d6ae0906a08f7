"""Under which address the service is known: in its documents, to its dashboard, and in the dashboard's cookie."""

import re
from typing import Any

import httpx2
import pytest

from tests.conftest import PASSWORD, MakeService

PROXY = "10.0.0.1"
METADATA = "/.well-known/oauth-authorization-server"
SESSION = "/dashboard/session"


def asking(service: Any, url: str, *, peer: str = "192.0.2.7", socket: Any = ("127.0.0.1", 80)) -> httpx2.AsyncClient:
    """A client that reaches the service under this address, or a proxy that does."""

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        # Wherever the URL points, the connection came to this address.
        await service.application({**scope, "server": socket}, receive, send)

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=listening, client=(peer, 1)), base_url=url)


@pytest.mark.parametrize(
    ("settings", "peer", "url", "headers", "issuer"),
    [
        (
            {"public_url": "https://Example.COM:443/tokens/"},
            "192.0.2.7",
            "http://other.test",
            {},
            "https://example.com/tokens",
        ),
        (
            {"public_url": "https://example.com"},
            PROXY,
            "http://a.test",
            {"X-Forwarded-Host": "b.test"},
            "https://example.com",
        ),
        # A name of this machine may be any of them; another one may be made up, and the socket's own stands for it.
        ({}, "192.0.2.7", "http://localhost:8080", {}, "http://localhost:8080"),
        ({}, "192.0.2.7", "http://foreign.test", {}, "http://127.0.0.1"),
        (
            {},
            "192.0.2.7",
            "http://foreign.test",
            {"X-Forwarded-Host": "a.test", "X-Forwarded-Proto": "https"},
            "http://127.0.0.1",
        ),
        ({}, PROXY, "http://a.test", {}, "http://a.test"),
        ({}, PROXY, "http://a.test", {"X-Forwarded-Proto": "https"}, "https://a.test"),
        (
            {},
            PROXY,
            "http://up:8080",
            {"X-Forwarded-Proto": "http, https", "X-Forwarded-Host": "x.test, A.test:443", "X-Forwarded-Prefix": "/t/"},
            "https://a.test/t",
        ),
        (
            {},
            PROXY,
            "http://up:8080",
            {"Forwarded": 'for=1.2.3.4;host=x.test, for=5.6.7.8;proto=https;host="[2001:db8::1]:8443"'},
            "https://[2001:db8::1]:8443",
        ),
        (
            {},
            PROXY,
            "http://a.test",
            {"X-Forwarded-Host": "<script>", "X-Forwarded-Prefix": '/"><script>'},
            "http://127.0.0.1",
        ),
        ({}, PROXY, "http://a.test", {"X-Forwarded-Prefix": "/a/../b", "X-Forwarded-Proto": "gopher"}, "http://a.test"),
    ],
)
async def test_documents_name_the_address_that_was_set_or_that_a_trusted_proxy_tells(
    make_service: MakeService, settings: dict[str, str], peer: str, url: str, headers: dict[str, str], issuer: str
) -> None:
    service = await make_service(background=False, trusted_proxies="10.0.0.0/8", **settings)
    async with asking(service, url, peer=peer) as client:
        body = (await client.get(METADATA, headers=headers)).json()
        assert body["issuer"] == issuer
        assert body["revocation_endpoint"] == f"{issuer}/oauth2/revoke"


HTTPS, LOOPBACK = "https://tokens.test", "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("settings", "url", "headers", "cookie"),
    [
        ({}, "http://127.0.0.1:8080", {"Origin": LOOPBACK}, "tokens=; Path=/"),
        ({}, "http://127.9.9.9:8080", {"Origin": "http://127.9.9.9:8080"}, "tokens=; Path=/"),
        ({}, "http://tokens.localhost", {"Origin": "http://tokens.localhost"}, "tokens=; Path=/"),
        ({}, "http://tokens.test", {"Origin": HTTPS}, "__Host-tokens=; Path=/; Secure"),
        # Hosts that proxies pass on: in capitals, with the usual port, without the browser's, or not at all.
        ({}, "http://TOKENS.test:443", {"Origin": HTTPS}, "__Host-tokens=; Path=/; Secure"),
        (
            {},
            "http://tokens.test",
            {"Origin": HTTPS + ":8443", "Sec-Fetch-Site": "same-origin"},
            "__Host-tokens=; Path=/; Secure",
        ),
        (
            {},
            "http://upstream:8080",
            {"Origin": HTTPS, "Sec-Fetch-Site": "same-origin"},
            "__Host-tokens=; Path=/; Secure",
        ),
        (
            {},
            "http://upstream:8080",
            {"Origin": HTTPS, "X-Forwarded-Host": "tokens.test"},
            "__Host-tokens=; Path=/; Secure",
        ),
        ({"public_url": HTTPS}, "http://upstream:8080", {"Origin": HTTPS}, "__Host-tokens=; Path=/; Secure"),
        ({"public_url": HTTPS}, "http://localhost:8080", {"Origin": "http://localhost:8080"}, "tokens=; Path=/"),
        ({"public_url": HTTPS + "/t"}, "http://upstream", {"Origin": HTTPS}, "__Secure-tokens=; Path=/t/; Secure"),
        ({}, "http://tokens.test", {"Origin": HTTPS, "X-Forwarded-Prefix": "/t"}, "__Secure-tokens=; Path=/t/; Secure"),
        ({"public_url": "http://tokens.lan"}, "http://tokens.lan", {"Origin": "http://tokens.lan"}, "tokens=; Path=/"),
        ({}, "https://localhost", {"Origin": "https://localhost"}, "__Host-tokens=; Path=/; Secure"),
    ],
)
async def test_a_page_of_ours_signs_in_stays_signed_in_and_signs_out(
    make_service: MakeService, settings: dict[str, str], url: str, headers: dict[str, str], cookie: str
) -> None:
    service = await make_service(background=False, trusted_proxies=PROXY, **settings)
    asked = {"X-Requested-With": "tokens-dashboard", **headers}
    async with asking(service, url, peer=PROXY) as client:
        signed_in = await client.post(SESSION, json={"username": "admin", "password": PASSWORD}, headers=asked)
        assert signed_in.status_code == 200, signed_in.text
        line = signed_in.headers.get_list("set-cookie")[0]
        name, secret = line.partition(";")[0].split("=")
        assert line.replace(f"={secret};", "=;").replace("; HttpOnly; SameSite=Strict; Max-Age=86400", "") == cookie

        # A page asks without an Origin.
        kept = {key: value for key, value in headers.items() if key.startswith("X-")} | {"Cookie": f"{name}={secret}"}
        assert (await client.get(SESSION, headers=kept)).status_code == 200
        # A page of somebody else's may have the cookie sent, and cannot say these.
        assert (await client.delete(SESSION, headers=kept)).status_code == 403
        signed_out = await client.delete(SESSION, headers=kept | asked)
        assert signed_out.status_code == 204
        assert signed_out.headers.get_list("set-cookie")[0].startswith(f"{name}=; ")
        # Other applications of the domain keep their cookies, and this one its theme.
        assert signed_out.headers["clear-site-data"] == '"cache"'
        ended = await client.get(SESSION, headers=kept)
        assert (ended.status_code, ended.headers["www-authenticate"]) == (
            401,
            'Bearer realm="tokens", error="invalid_token"',
        )


async def test_the_cookie_changes_nothing_for_a_page_of_somebody_else(make_service: MakeService) -> None:
    url = "http://localhost:8080"
    own = {"Origin": url, "X-Requested-With": "tokens-dashboard"}
    async with asking(await make_service(background=False), url) as client:
        await client.post(SESSION, json={"username": "admin", "password": PASSWORD}, headers=own)
        for headers, status in (
            ({}, 403),
            ({"Origin": url}, 403),
            ({**own, "Origin": "https://evil.test"}, 403),
            ({**own, "Sec-Fetch-Site": "same-site"}, 403),
            (own, 201),
        ):
            made = await client.post("/api/admin/tokens", json={"name": "t", "duration": "7days"}, headers=headers)
            assert made.status_code == status, headers


@pytest.mark.parametrize(
    ("settings", "url", "headers", "said"),
    [
        ({}, "http://upstream:8080", {"Origin": HTTPS}, "page of https://tokens.test.*Set TOKENS_PUBLIC_URL"),
        ({}, "http://tokens.test", {"Origin": "https://evil.test"}, "page of https://evil.test"),
        ({}, "http://tokens.test", {"Origin": "null"}, "page of an unknown address"),
        ({}, "http://tokens.test", {}, "page of an unknown address"),
        ({}, "http://tokens.test", {"Origin": HTTPS, "Sec-Fetch-Site": "cross-site"}, "did not come from"),
        ({}, "http://tokens.test", {"Origin": HTTPS, "X-Requested-With": "other"}, "did not come from"),
        (
            {"public_url": HTTPS},
            "http://other.test",
            {"Origin": "http://other.test", "Sec-Fetch-Site": "same-origin"},
            "known as https://tokens.test",
        ),
        ({}, "http://tokens.lan", {"Origin": "http://tokens.lan"}, "plain http.*TOKENS_PUBLIC_URL=http://tokens.lan"),
    ],
)
async def test_a_page_that_cannot_work_is_told_why_and_what_to_set(
    make_service: MakeService, settings: dict[str, str], url: str, headers: dict[str, str], said: str
) -> None:
    service = await make_service(background=False, **settings)
    asked = {"X-Requested-With": "tokens-dashboard", **headers}
    async with asking(service, url) as client:
        answer = await client.post(SESSION, json={"username": "admin", "password": PASSWORD}, headers=asked)
        assert (answer.status_code, bool(re.search(said, answer.json()["detail"]))) == (403, True), answer.text


async def test_a_session_whose_place_another_one_takes_has_ended(make_service: MakeService) -> None:
    """Whoever has copied its cookie must not go on by it for a day, unseen by the one who signed in again."""
    service = await make_service(background=False)
    asked = {"X-Requested-With": "tokens-dashboard", "Origin": "http://localhost"}
    async with asking(service, "http://localhost") as client:

        async def sign_in(password: str) -> int:
            body = {"username": "admin", "password": password}
            return (await client.post(SESSION, json=body, headers=asked)).status_code

        assert await sign_in(PASSWORD) == 200
        first = {"Cookie": f"tokens={client.cookies['tokens']}"}
        assert await sign_in("not the password") == 401
        assert (await client.get(SESSION)).status_code == 200
        assert await sign_in(PASSWORD) == 200
        assert (await client.get(SESSION)).status_code == 200
        client.cookies.clear()
        assert (await client.get(SESSION, headers=first)).status_code == 401


async def test_over_loopback_the_session_of_either_cookie_is_read_and_elsewhere_the_secure_one(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False)
    asked = {"X-Requested-With": "tokens-dashboard", "Origin": "https://localhost"}
    async with asking(service, "http://localhost") as client:
        answer = await client.post(SESSION, json={"username": "admin", "password": PASSWORD}, headers=asked)
        ours, forgotten = answer.headers.get_list("set-cookie")
        assert forgotten == "tokens=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        secret = ours.partition(";")[0].partition("=")[2]

    for host, name, status in (
        ("localhost", "tokens", 200),
        ("localhost", "__Host-tokens", 200),
        ("tokens.test", "__Host-tokens", 200),
        ("tokens.test", "tokens", 401),
        ("localhost.tokens.test", "tokens", 401),
    ):
        async with asking(service, f"http://{host}") as client:
            answer = await client.get(SESSION, headers={"Cookie": f"{name}={secret}"})
            assert answer.status_code == status, (host, name)


async def test_pages_and_documents_lie_below_the_path_whether_a_proxy_takes_it_off_or_not(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, public_url="https://example.com/a/tokens")
    async with asking(service, "http://up") as client:
        for before in ("", "/a/tokens"):
            page = await client.get(f"{before}/dashboard/")
            links = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
            assert len(links) == 4
            assert all(link.startswith("/a/tokens/dashboard/") for link in links)
            for link in links:
                assert (await client.get(link.removeprefix("/a/tokens") if not before else link)).status_code == 200
            redirect = await client.get(f"{before}/dashboard")
            assert redirect.headers["location"] == "/a/tokens/dashboard/"
            document = (await client.get(f"{before}/openapi.json")).json()
            assert document["servers"] == [{"url": "https://example.com/a/tokens"}]
            assert (await client.get(f"{before}/validate")).status_code == 401
        assert (await client.get("/a/tokensdashboard/")).status_code == 404


@pytest.mark.parametrize("socket", [None, ("/run/http.sock", None)])
async def test_behind_a_unix_socket_a_name_that_may_be_made_up_reaches_no_url(
    make_service: MakeService, socket: Any
) -> None:
    async with asking(await make_service(), "http://foreign.test", socket=socket) as client:
        assert (await client.get(METADATA)).json()["issuer"] == "http://localhost"


async def test_the_metadata_of_an_issuer_with_a_path_lies_before_that_path_too(make_service: MakeService) -> None:
    service = await make_service(background=False, public_url="https://example.com/a/tokens")
    async with asking(service, "http://up") as client:
        asked = [await client.get(path) for path in (METADATA, f"{METADATA}/a/tokens", f"/a/tokens{METADATA}")]
        assert [answer.json()["issuer"] for answer in asked] == ["https://example.com/a/tokens"] * 3
        assert (await client.get(f"{METADATA}/a")).status_code == 404


async def test_a_path_of_ours_that_begins_as_the_path_before_it_is_left_whole(make_service: MakeService) -> None:
    service = await make_service(background=False, public_url="https://example.com/val")
    async with asking(service, "http://up") as client:
        assert [(await client.get(path)).status_code for path in ("/validate", "/val/validate", "/val")] == [
            401,
            401,
            404,
        ]
