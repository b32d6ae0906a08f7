"""The page behind real proxies: at the root and below a path, by http and https, with and without the browser's Host."""

import datetime
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Browser, expect

from tests.cli.running import running
from tests.dashboard.browser import Watch
from tests.dashboard.service import PASSWORD
from tests.gateway.child import NGINX_ARGUMENTS, Gateway, nginx_head
from tests.ports import held_port

NGINX = """{head}
events {{}}
http {{
  {more}
  server {{
    listen 127.0.0.1:{bare};
    # Nothing is set: the service is told of itself as the Host.
    location / {{ proxy_pass http://127.0.0.1:{service}; }}
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {{folder}}/tls.pem;
    ssl_certificate_key {{folder}}/tls.pem;
    location /a/tokens/ {{
      proxy_pass http://127.0.0.1:{service}/;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Prefix /a/tokens;
    }}
  }}
}}
"""
CADDY = """{{
  admin off
  auto_https off
}}
:{port} {{
  tls {{folder}}/tls.pem {{folder}}/tls.pem
  handle_path /tokens/* {{
    reverse_proxy 127.0.0.1:{service} {{
      header_up X-Forwarded-Prefix /tokens
    }}
  }}
  handle {{
    reverse_proxy 127.0.0.1:{service}
  }}
}}
"""


def certificate() -> str:
    """A key and a certificate for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return (key.private_bytes(*form) + signed.public_bytes(form[0])).decode()


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """What the browser's address bar holds, for each way to the one service."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tk"))
        stack.callback(shutil.rmtree, folder)
        service = stack.enter_context(
            running(folder, TOKENS_ADMIN_PASSWORD=PASSWORD, TOKENS_TRUSTED_PROXIES="127.0.0.1")
        )
        head, more = nginx_head()
        bare, port, other, tls = held_port(), held_port(), held_port(), certificate()
        texts = {"nginx.conf": NGINX.format(head=head, more=more, bare=bare, port=port, service=service.port)}
        nginx = Gateway("nginx", port, texts | {"tls.pem": tls}, *NGINX_ARGUMENTS)
        stack.callback(nginx.close)
        text = CADDY.format(port=other, service=service.port)
        caddy = Gateway(
            "caddy",
            other,
            {"Caddyfile": text, "tls.pem": tls},
            "run",
            "--config",
            "Caddyfile",
            "--adapter",
            "caddyfile",
        )
        stack.callback(caddy.close)
        yield {
            "nginx that passes no Host on": f"http://127.0.0.1:{bare}",
            "nginx by https, below a path": f"https://localhost:{port}/a/tokens",
            "Caddy by https": f"https://localhost:{other}",
            "Caddy by https, below a path": f"https://localhost:{other}/tokens",
        }


@pytest.mark.parametrize(
    "way",
    [
        "nginx that passes no Host on",
        "nginx by https, below a path",
        "Caddy by https",
        "Caddy by https, below a path",
    ],
)
def test_the_whole_page_works_there(browser: Browser, addresses: dict[str, str], way: str) -> None:
    url = addresses[way]
    context = browser.new_context(ignore_https_errors=True)
    watch = Watch(context, url, watched=True)
    page = context.new_page()
    page.goto(f"{url}/dashboard/audit")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()

    page.get_by_role("link", name="Help").click()
    expect(page.get_by_text(f"curl -i {url}/validate")).to_be_visible()
    assert page.url == f"{url}/dashboard/help"
    if way == "Caddy by https, below a path":  # once: the reference takes seconds to draw
        page.get_by_role("link", name="API reference").click()
        expect(page.get_by_role("heading", name="Token service")).to_be_visible()

    page.goto(f"{url}/dashboard/")
    page.get_by_role("button", name="admin").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert context.cookies() == []
    context.close()
    assert watch.faults == []
