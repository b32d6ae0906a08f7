"""Networks are kept as what they mean."""

import pytest

from service.addresses import is_host, read_networks, resolved_by


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_ipv4_inside_ipv6_is_ipv4(text: str, meant: str) -> None:
    assert [str(network) for network in read_networks((text,))] == [meant]


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fe80::%1/64"])
def test_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"zone|appear"):
        read_networks((text,))


@pytest.mark.parametrize(
    "text",
    [
        *("a", "A-b_c.example.", "192.0.2.1", "::1", "fe80::1%eth0", "a" * 63, "bücher.example", "ﬀ.example"),
        *("", ".", "..", "a..b", ".a", "a" * 64, f"{'a' * 64}.b", "bücher..example", "ü" * 70),
    ],
)
def test_a_host_is_what_python_itself_would_resolve(text: str) -> None:
    try:
        expected = text.encode("idna")
    except UnicodeError:
        expected = b""
    assert resolved_by(text) == expected
    assert is_host(text) is bool(expected)
