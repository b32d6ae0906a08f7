"""Networks are kept as what they mean."""

import random
from ipaddress import IPv4Network, IPv6Network

import pytest

from service.addresses import as_written, is_host, read_networks, resolved_by


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


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/8",
        "10.0.0.0/08",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/255.0.0.0",
        " 10.0.0.0/8",
        "10.0.0/8",
        "10.0.0.0/٨",
        "2001:DB8::/32",
        "2001:db8:0::/32",
        "2001:db8::1/32",
        "2001:db8::/129",
        "fe80::%eth0/128",
        "::ffff:10.0.0.0/104",
        "::ffff:0:0/96",
        "::ffff:a00:0/104",
        "::10.0.0.0/128",
        "",
        "/",
        "any",
    ],
)
def test_a_network_in_another_form_is_read(text: str) -> None:
    assert as_written(text) is None


def test_a_network_in_its_normal_form_is_what_is_read_of_it() -> None:
    drawn = random.Random(1)
    texts = ["::/0", "::1/128", "::2/128", "0.0.0.0/0", "10.4.0.0/16", "2001:db8::/32", "1:0:2:3:4:5:6:7/128"]
    for _ in range(500):
        # Few bits, so that there are runs of zeros to leave out.
        bits = drawn.getrandbits(128) & drawn.getrandbits(128) & drawn.getrandbits(128)
        texts.append(str(IPv6Network((bits, drawn.randrange(129)), strict=False)))
        texts.append(str(IPv4Network((bits >> 96, drawn.randrange(33)), strict=False)))
    texts += [text.partition("/")[0] for text in texts]
    told = {text: normal for text in texts if (normal := as_written(text))}
    assert [str(network) for network in read_networks(told)] == [*told.values()]
    # All but IPv4 inside IPv6, which a system writes with dots.
    assert len(told) > 0.98 * len({*texts})
