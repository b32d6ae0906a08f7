"""Which peers are believed, and which client they speak for."""

import pytest

from service.api.http.proxies import TrustedProxies

TRUSTED = TrustedProxies(("10.0.0.0/8", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.9", "203.0.113.9"),
        ("203.0.113.1", b"203.0.113.9", "203.0.113.1"),
        ("10.0.0.1", b"1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", b"203.0.113.9:5555", "203.0.113.9"),
        ("10.0.0.1", b"[2001:db9::5]:443", "2001:db9::5"),
        ("10.0.0.1", b"2001:db9::5", "2001:db9::5"),
        ("2001:db8::1", b"203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", b"203.0.113.9, unknown", "unknown"),
        ("10.0.0.1", b"203.0.113.9,", "203.0.113.9"),
        ("", b"203.0.113.9", "203.0.113.9"),
    ],
)
def test_only_a_trusted_proxy_tells_the_address_of_its_client(peer: str, forwarded: bytes | None, address: str) -> None:
    proxy = (peer, 1) if peer else None
    # Twice: the second time it is remembered.
    assert [TRUSTED.client_of(proxy, forwarded) for _ in range(2)] == [address, address]


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert TrustedProxies().client_of(("203.0.113.1", 1), b"1.1.1.1") == "203.0.113.1"
    assert TrustedProxies().client_of(None, b"1.1.1.1") == ""


def test_a_proxy_on_a_socket_of_both_families_is_trusted_by_its_ipv4_address() -> None:
    assert TrustedProxies(("10.0.0.0/8",)).trusts("::ffff:10.1.2.3")
    assert TrustedProxies(("::ffff:10.0.0.0/104",)).trusts("10.1.2.3")


def test_nothing_that_a_client_made_long_is_remembered() -> None:
    proxies = TrustedProxies(("10.0.0.0/8",))
    for number in range(20):
        made_up = f"{number}" * 5000
        assert proxies.client_of(("10.0.0.1", 1), f"{made_up}, 10.0.0.2".encode()) == made_up
    assert proxies.trusts.cache_info().currsize == 2


def test_a_line_that_a_client_made_long_is_read_too() -> None:
    assert TRUSTED.client_of(("10.0.0.1", 1), b"1.1.1.1," * 100 + b"203.0.113.9") == "203.0.113.9"
