"""Just at a bound and just past it, where one sign more or less decides."""

import json
import unicodedata
from io import BytesIO
from pathlib import Path

import argon2
import pytest

from service.api.http.call import Call
from service.api.http.proxies import TrustedProxies
from service.api.http.public_address import PublicAddress, host_of
from service.api.http.timestamps import parse_instant
from service.cli.client.address import service_address
from service.cli.commands.tokens.import_file import rows_of
from service.cli.failure import WrongUsage
from service.cli.terminal.columns import fit, width_of
from service.errors import Forbidden, InvalidRequest
from service.model import Calendar, Credential, Origin, RateLimit
from service.tokens.accounts.accounts import AccountsError, normalise, read_accounts
from service.tokens.accounts.passwords import PasswordChecker
from service.tokens.audit.entries import AuditEntry
from service.tokens.audit.reader import AuditFilter
from service.tokens.explanation.checks import Result, expired
from service.tokens.lifetime import Lifetime
from service.tokens.rights import check_held, check_within

DAY = 86400
NOW = 1_800_000_000


def test_tokens_made_in_one_instant_have_an_order() -> None:
    lifetime = Lifetime(1, lambda: NOW)
    assert lifetime.begin() < lifetime.begin() < lifetime.begin()


def test_an_end_may_be_a_minute_past_the_longest_life() -> None:
    lifetime = Lifetime(1, lambda: NOW)
    lifetime.check(NOW + DAY + 60)
    for end in (NOW + DAY + 61, NOW, 0):
        with pytest.raises(InvalidRequest):
            lifetime.check(end)
    Lifetime(0, lambda: NOW).check(0)


def test_what_has_reached_its_end_has_expired() -> None:
    assert expired(NOW, NOW).result is Result.FAILED
    assert expired(NOW, NOW - 1).result is Result.PASSED


def test_a_derived_token_makes_no_others_and_a_quota_is_as_slow_as_itself() -> None:
    quota = RateLimit(10, 0, 0, "month", Calendar("month", 1, "UTC"))
    holder = Credential("a" * 16, "", (), NOW, 0, rate_limits=(quota,))
    check_within(holder, holder)
    derived = Credential("b" * 16, "", (), NOW, 0, ancestors=("a" * 16,))
    with pytest.raises(Forbidden, match="derived"):
        check_held(Origin("token:b", "", "api", "r", bound=derived), holder)


def test_the_audit_log_ends_before_the_instant_until_which_it_is_asked_for() -> None:
    entry = AuditEntry(NOW, "token.created", "admin", "a", "", "api", "r", None, None)
    assert not AuditFilter(until=NOW).admits(entry)
    assert AuditFilter(since=NOW, until=NOW + 1).admits(entry)


def test_a_long_name_is_counted_by_its_beginning() -> None:
    assert normalise("A" * 200) == "a" * 128


def test_a_hash_that_fits_nothing_is_told_with_the_line_of_its_account(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text('# once "not-a-hash"\n[accounts.ada]\npassword_hash = "not-a-hash"\n')
    with pytest.raises(AccountsError, match="line 3: account ada"):
        read_accounts(path)


async def test_a_hash_of_a_decomposed_password_is_met() -> None:
    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    checker = PasswordChecker()
    assert await checker.matches(cheap.hash(unicodedata.normalize("NFD", "zwölf Wörter")), "zwölf Wörter")
    await checker.aclose()


def test_the_least_number_of_milliseconds_is_none_of_seconds() -> None:
    assert parse_instant(100_000_000_000, "expiresAt", None) == 100_000_000
    assert parse_instant(99_999_999_999, "expiresAt", None) == 99_999_999_999


def test_no_port_lies_above_the_last() -> None:
    assert host_of("a.test:65535", "https") == "a.test:65535"
    assert host_of("a.test:65536", "https") is None


def test_a_base_url_has_no_fragment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENS_URL", "https://a.test/#part")
    with pytest.raises(WrongUsage, match="TOKENS_URL"):
        service_address()


def test_minus_one_in_a_column_is_a_number() -> None:
    ((_, line),) = rows_of(BytesIO(b"name,expiresAt\nci,-1\n"))
    assert json.loads(line or b"") == {"name": "ci", "expiresAt": -1}


def test_wide_letters_take_two_cells_and_columns_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "5")
    widths = [12, 14]
    fit(widths, 0)
    assert widths == [12, 10]
    assert (width_of("\uff21"), width_of("\u6f22"), width_of("e\u0301")) == (2, 2, 1)


def test_of_two_lines_of_proxies_the_nearest_ones_counts() -> None:
    async def receive() -> dict[str, object]:
        return {}

    headers = [(b"x-forwarded-host", b"made-up.test"), (b"x-forwarded-host", b"a.test")]
    scope = {"method": "GET", "scheme": "http", "client": ("192.0.2.1", 1), "headers": headers}
    address = PublicAddress(None, TrustedProxies(("192.0.2.1",)))
    assert str(address.of(Call(scope, receive, {}, "id", ""))) == "http://a.test"
