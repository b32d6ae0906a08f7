"""Networks are kept as what they mean."""

from __future__ import annotations

import pytest

from service.addresses import read_networks


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
