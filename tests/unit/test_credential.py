"""A decoded credential: which scopes it covers and which addresses it admits."""

import gc

import pytest

from service.model import Credential, Outcome, RateLimit
from service.store.limits.subjects import Shared
from service.tokens.credential import DecodedCredential


def decoded(*, scopes: tuple[str, ...] = (), networks: tuple[str, ...] = (), **more: object) -> DecodedCredential:
    credential = Credential("00" * 8, "ada", scopes, 1, 0, networks=networks, **more)  # type: ignore[arg-type]
    return DecodedCredential(b"d" * 32, credential)


def test_the_garbage_collector_leaves_out_what_is_remembered_of_a_token() -> None:
    """A pass through sixteen thousand of them would hold every request for six milliseconds."""
    assert not gc.is_tracked(decoded())


@pytest.mark.parametrize(
    ("granted", "required", "missing"),
    [
        ((), (), ()),
        ((), ("orders:read",), ("orders:read",)),
        (("orders:read",), ("orders:read",), ()),
        (("orders:read",), ("orders:write", "orders:read", "stock"), ("orders:write", "stock")),
        # A `*` stands for any number of letters, also none: whoever asks for `orders:` asks for less than all of it.
        (("orders:*",), ("orders:read", "orders:", "orders:read:all"), ()),
        (("or*:read",), ("orders:read", "or*:read"), ("orders:read",)),
        (("orders:*",), ("orders", "order:read", "xorders:read"), ("orders", "order:read", "xorders:read")),
        (("*",), ("anything", "at:all"), ()),
        (("orders:*",), ("orders:*",), ()),
        (("orders:read",), ("orders:*",), ("orders:*",)),
        (("a", "b"), ("", "a"), ("",)),
        ((), ("",), ("",)),
        (("Orders",), ("orders",), ("orders",)),
        ((), ("\x00orders",), ("\x00orders",)),
    ],
)
def test_missing_scopes_are_those_that_no_granted_one_covers(
    granted: tuple[str, ...], required: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    assert decoded(scopes=granted).missing(required) == missing


@pytest.mark.parametrize(
    ("networks", "address", "admitted"),
    [
        ((), "", True),
        ((), "203.0.113.9", True),
        (("10.4.0.0/16",), "10.4.255.255", True),
        (("10.4.0.0/16",), "10.5.0.0", False),
        (("10.4.0.0/16",), "::ffff:10.4.0.1", True),
        (("10.4.0.0/16",), "::ffff:10.5.0.1", False),
        (("10.4.0.0/16",), "::10.4.0.1", False),
        (("10.4.0.1",), "10.4.0.1", True),
        (("2001:db8::/32",), "2001:db8:ffff::1", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        (("2001:db8::/32",), "10.4.0.1", False),
        (("::/0",), "10.4.0.1", False),
        (("0.0.0.0/0",), "2001:db8::1", False),
        (("0.0.0.0/0", "::/0"), "fe80::1", True),
        (("10.4.0.0/16", "2001:db8::/32"), "2001:db8::5", True),
        (("10.4.0.0/16",), "", False),
        (("10.4.0.0/16",), "unknown", False),
        (("10.4.0.0/16",), "10.4.0.1, 10.4.0.2", False),
        (("10.4.0.0/16",), "10.4.0.01", False),
        (("10.4.0.0/16",), "0x0a040001", False),
    ],
)
def test_a_token_is_admitted_from_its_networks_alone(
    networks: tuple[str, ...], address: str, *, admitted: bool
) -> None:
    assert decoded(networks=networks).admits(address) is admitted


@pytest.mark.parametrize(
    ("more", "limited"),
    [
        ({}, False),
        ({"rate_limits": (RateLimit(1, 1),)}, True),
        ({"max_uses": 1}, True),
        ({"networks": ("::/0",)}, False),
    ],
)
def test_a_limit_or_a_number_of_uses_makes_a_token_limited(more: dict[str, object], *, limited: bool) -> None:
    one = decoded(**more)  # type: ignore[arg-type]
    # While it is not known whether its subject has limits, it may have some.
    assert one.limited
    one.share(Shared())
    assert one.limited is limited
    one.share(Shared((RateLimit(1, 1),)))
    assert one.limited
    assert one.active.outcome is Outcome.ACTIVE
