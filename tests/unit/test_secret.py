"""Secrets: their forms, the checksum, and what the derived keys bind together."""

import hmac
import string
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.keyring import SEAL_BYTES, Keyring
from service.model import Kind
from service.store.driver.keys import shard_of_digest
from service.store.driver.shards import Shards
from service.store.servers.links import no_servers
from service.tokens.secret import Minter, mint, mint_id, parse, with_checksum

KEYRING = Keyring("a server key of the tests, long enough")
OTHER = Keyring("another server key, also long enough")
MANAGED = with_checksum("0123456789abcdef" * 3 + "01234567").encode()


@pytest.mark.parametrize("kind", Kind)
def test_a_minted_secret_parses_as_its_own_kind(kind: Kind) -> None:
    secrets = {mint(kind) for _ in range(50)}
    assert len(secrets) == 50
    assert {parse(secret.encode()) for secret in secrets} == {kind}


def test_the_forms_are_those_of_the_contract() -> None:
    hexadecimal = set("0123456789abcdef")
    one_time, session, managed = mint(Kind.ONE_TIME), mint(Kind.SESSION), mint(Kind.MANAGED)
    assert len(one_time) == 32 and set(one_time) <= hexadecimal
    assert len(session) == 64 and set(session) <= set(string.ascii_letters + string.digits)
    assert len(managed) == 68 and managed.startswith("rtk_") and set(managed[4:]) <= hexadecimal


def test_a_session_secret_uses_every_character_evenly() -> None:
    drawn = "".join(mint(Kind.SESSION) for _ in range(2000))
    counts = [drawn.count(sign) for sign in string.ascii_letters + string.digits]
    # 128,000 draws over 62 signs: 2,065 each, standard deviation 45; a modulo over 256 values would favour some by 25 %.
    assert min(counts) > 2065 - 6 * 45
    assert max(counts) < 2065 + 6 * 45


def test_the_checksum_is_crc32_over_the_prefix_and_the_random_part() -> None:
    assert with_checksum("00" * 28) == "rtk_" + "00" * 28 + "cd37fd2f"


def test_every_change_of_one_character_of_a_managed_secret_is_refused() -> None:
    assert parse(MANAGED) is Kind.MANAGED
    accepted = [
        (place, bytes([sign]))
        for place in range(len(MANAGED))
        for sign in range(256)
        if sign != MANAGED[place] and parse(MANAGED[:place] + bytes([sign]) + MANAGED[place + 1 :]) is not None
    ]
    assert accepted == []


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        b"rtk_",
        MANAGED[:-1],
        MANAGED + b"0",
        MANAGED.upper(),
        b" " + MANAGED[1:],
        MANAGED + b"\n",
        MANAGED[:-1] + b"\n",
        b"a" * 63,
        b"a" * 65,
        b"a" * 63 + b"-",
        b"a" * 63 + b"\n",
        b"\x00" * 64,
        "é".encode() * 32,
        b"A" * 32,
        b"g" * 32,
        b"0" * 31,
        b"0" * 33,
        b"0" * 31 + b"\n",
    ],
)
def test_what_this_service_cannot_have_issued_has_no_kind(secret: bytes) -> None:
    assert parse(secret) is None


def test_an_id_names_its_shard_and_is_never_drawn_twice() -> None:
    ids = [mint_id(11) for _ in range(200)]
    assert len(set(ids)) == 200
    assert all(len(token_id) == 16 and int(token_id[:2], 16) == 11 for token_id in ids)


@pytest.mark.parametrize("shard", range(16))
def test_a_secret_is_drawn_until_its_digest_falls_into_the_wanted_shard(shard: int) -> None:
    shards = Shards("test", no_servers().links * 16)
    secret, digest = Minter(KEYRING, shards).mint(Kind.MANAGED, shards[shard])
    assert parse(secret.encode()) is Kind.MANAGED
    assert digest == KEYRING.digest(Kind.MANAGED, secret.encode())
    assert shard_of_digest(digest, 16) == shard


def test_derived_keys_differ_by_label_and_by_server_key() -> None:
    keys = [ring.derive(label) for ring in (KEYRING, OTHER) for label in (b"digest", b"seal", b"lookup", b"")]
    assert len(set(keys)) == 8
    assert {len(key) for key in keys} == {32}


def test_derivation_is_the_first_block_of_hkdf() -> None:
    extracted = hmac.digest(b"token-service", b"a server key of the tests, long enough", "sha256")
    assert KEYRING.derive(b"digest") == hmac.digest(extracted, b"digest\x01", "sha256")


def test_the_digest_of_a_secret_depends_on_its_kind_and_on_the_server_key() -> None:
    digests = {ring.digest(kind, b"0" * 32) for ring in (KEYRING, OTHER) for kind in Kind}
    assert len(digests) == 6


@pytest.mark.parametrize("secret", [b"", b"s", b"s" * 200])
def test_what_is_stored_of_a_secret_is_an_hmac(secret: bytes) -> None:
    for kind in Kind:
        message = kind.value.encode() + b"\x00" + secret
        assert KEYRING.digest(kind, secret) == hmac.digest(KEYRING.derive(b"digest"), message, "sha256")
    assert KEYRING.imported_digest(secret) == hmac.digest(KEYRING.derive(b"imported"), secret, "sha256")
    seal = hmac.digest(KEYRING.derive(b"seal"), b"d" * 32 + secret, "sha256")[:16]
    assert KEYRING.seal(b"d" * 32, secret) == seal + secret


@pytest.mark.parametrize("one", [partial(KEYRING.mac, "metadata", b"body"), KEYRING.seal(b"d" * 32, b"body")[:16].hex])
def test_macs_for_one_purpose_serve_no_other(one: Callable[[], str]) -> None:
    others = {
        KEYRING.mac("audit", b"body"),
        KEYRING.mac("metadata", b"other"),
        OTHER.mac("metadata", b"body"),
    }
    assert one() not in others


def test_a_pseudonym_tells_its_parts_apart_by_place() -> None:
    assert KEYRING.pseudonym("login", "ab") != KEYRING.pseudonym("log", "inab")
    assert KEYRING.pseudonym("a", "b", "c") != KEYRING.pseudonym("a", "bc")
    assert OTHER.pseudonym("a") != KEYRING.pseudonym("a")


@given(digest=st.binary(min_size=32, max_size=32), body=st.binary(max_size=300))
def test_a_sealed_body_comes_back_whole(digest: bytes, body: bytes) -> None:
    assert KEYRING.unseal(digest, KEYRING.seal(digest, body)) == body


@settings(max_examples=300)
@given(
    digest=st.binary(min_size=32, max_size=32),
    body=st.binary(min_size=1, max_size=120),
    place=st.integers(min_value=0),
    flip=st.integers(min_value=1, max_value=255),
)
def test_any_flipped_byte_of_a_sealed_record_is_refused(digest: bytes, body: bytes, place: int, flip: int) -> None:
    sealed = bytearray(KEYRING.seal(digest, body))
    sealed[place % len(sealed)] ^= flip
    assert KEYRING.unseal(digest, bytes(sealed)) is None


@given(
    one=st.binary(min_size=32, max_size=32),
    other=st.binary(min_size=32, max_size=32),
    body=st.binary(max_size=80),
)
def test_a_seal_is_bound_to_its_digest(one: bytes, other: bytes, body: bytes) -> None:
    assert (KEYRING.unseal(other, KEYRING.seal(one, body)) is None) == (one != other)


@pytest.mark.parametrize("size", range(SEAL_BYTES + 1))
def test_a_record_cut_short_is_refused(size: int) -> None:
    assert KEYRING.unseal(b"d" * 32, KEYRING.seal(b"d" * 32, b"body")[:size]) is None


def test_a_record_sealed_under_another_server_key_is_refused() -> None:
    assert KEYRING.unseal(b"d" * 32, OTHER.seal(b"d" * 32, b"body")) is None


def test_what_either_key_made_is_accepted_and_said_by_which() -> None:
    present, previous = "a server key of the tests, long enough", "another server key, also long enough"
    both = Keyring(present, previous)
    sealed = OTHER.seal(b"d" * 32, b"body")
    assert both.unseal(b"d" * 32, sealed) == b"body"
    assert both.unseal(b"e" * 32, sealed) is both.sealed_by(b"e" * 32, sealed) is None
    assert both.sealed_by(b"d" * 32, KEYRING.seal(b"d" * 32, b"body")) is both.present
    signer = both.signer("audit", b"body", OTHER.mac("audit", b"body"))
    assert signer is not None
    assert signer is not both.present
    assert both.signer("audit", b"other", OTHER.mac("audit", b"body")) is None
    assert [keys.digest(Kind.MANAGED, b"0") for keys in both.each] == [
        ring.digest(Kind.MANAGED, b"0") for ring in (KEYRING, OTHER)
    ]
    assert both.marks("n") == KEYRING.marks("n") + OTHER.marks("n")
    assert both.previous is not None and KEYRING.previous is None


@pytest.mark.parametrize("mac", ["", "\xe9" * 32, "\udc80"])
def test_a_mac_of_any_characters_is_compared_and_refused(mac: str) -> None:
    assert KEYRING.signer("audit", b"body", mac) is None
