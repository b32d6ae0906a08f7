"""Where a webhook may go: no address that only this machine or its neighbours can reach, in any notation."""

import pytest

from service.errors import InvalidRequest
from service.tokens.webhooks.ssrf import is_public, read_url

# Each means, or may be taken to mean, something that is not everybody's.
FORBIDDEN = [
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "gopher://127.0.0.1:6379/_INFO",
    "file:///etc/passwd",
    "//hooks.example.com/",
    "hooks.example.com",
    "https://",
    "https:///path",
    "https://127.0.0.1/",
    "https://127.0.0.1:6379/",
    "https://127.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.01/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0xa9fea9fe/",
    "https://168.63.129.16/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://198.18.0.1/",
    "https://192.0.0.192/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[fc00::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:1::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://api.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://redis/",
    "https://user@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.hooks.example.com/",
    "https://hooks.example.com#@127.0.0.1/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:99999/",
    "https://hooks.example.com:port/",
    "https://ex ample.com/",
    "https://example.com/\r\nHost: redis/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://ex\u00e4mple.com/",
    "https://%31%32%37.0.0.1/",
    "https://[::1/",
    "https://[hooks.example.com]/",
    "https://[]/",
    "https://[v1.example.com]/",
    "https://-a.example/",
    "https://a..",
    "https://" + "a" * 2100 + ".example.com/",
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_no_webhook_goes_there(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_url(url, allow_private=False)
    assert refused.value.fields[0][0] == "url"
    assert url not in refused.value.detail


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/", "hooks.example.com"),
        (
            "https://Hooks.Example.com:8443/a/b?c=d%20e",
            "hooks.example.com",
            8443,
            "/a/b?c=d%20e",
            "hooks.example.com:8443",
        ),
        ("https://93.184.216.34/x", "93.184.216.34", 443, "/x", "93.184.216.34"),
        ("https://[2606:4700::1111]:444/x", "2606:4700::1111", 444, "/x", "[2606:4700::1111]:444"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
        ("HTTPS://a.b-c_d.example./?", "a.b-c_d.example", 443, "/", "a.b-c_d.example"),
    ],
)
def test_a_public_url_is_taken_apart(url: str, host: str, port: int, target: str, authority: str) -> None:
    destination = read_url(url, allow_private=False)
    assert destination == (True, host, port, target)
    assert destination.authority == authority


def test_the_setting_lets_webhooks_go_to_private_addresses_over_http() -> None:
    assert read_url("http://localhost:9000/hook", allow_private=True) == (False, "localhost", 9000, "/hook")
    assert read_url("https://10.0.0.1/", allow_private=True).port == 443
    for url in ("ftp://10.0.0.1/", "http://user@10.0.0.1/", "http://", "http://a b/"):
        with pytest.raises(InvalidRequest):
            read_url(url, allow_private=True)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1", "100.128.0.1"],
)
def test_addresses_of_everybody_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "127.0.0.1",
        "10.1.2.3",
        "::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "2001::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ],
)
def test_addresses_of_few_are_not(address: str) -> None:
    assert not is_public(address)
