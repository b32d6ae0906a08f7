"""Whom a token speaks for: `-` alone, which means nobody in header fields, is refused wherever a subject enters."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.api.admin.schemas.creation import CreateToken
from service.api.admin.schemas.import_export import ExportedToken
from service.api.admin.schemas.imported import ImportedToken
from service.api.admin.schemas.tokens import ChangeToken
from service.api.one_time import IssueOneTime
from service.api.self_service import DeriveToken
from service.api.subject_limits import SetSubjectLimits
from service.errors import place_and_reason
from service.tokens.accounts.accounts import AccountsError, read_accounts

WORDS = "write text of 1 to 128 characters out of visible ASCII; - alone says nobody"

TYPES: list[Any] = [CreateToken, ChangeToken, ImportedToken, ExportedToken, DeriveToken, IssueOneTime, SetSubjectLimits]


@pytest.mark.parametrize("kind", TYPES)
def test_the_subject_that_means_nobody_is_refused_in_words(kind: Any) -> None:
    given = {"name": "ci", "secret": "s" * 16, "limits": [], "id": "0" * 16, "subject": "-"}
    fields = {field.encode_name for field in msgspec.structs.fields(kind)}
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({name: value for name, value in given.items() if name in fields}, kind)
    place, reason = place_and_reason(caught.value, kind)
    assert place == "subject"
    assert reason == WORDS


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("subject", ["a", "-a", "a-", "--", "~", ",", ".", "-" * 128, "!" * 128])
def test_every_other_visible_text_of_128_characters_is_a_subject(kind: Any, subject: str) -> None:
    (field,) = [field for field in msgspec.structs.fields(kind) if field.name == "subject"]
    assert msgspec.convert(subject, field.type) == subject


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("subject", ["a b", "a\n", "-\n", "é", "a" * 129, "-" * 129])
def test_what_a_header_field_cannot_hold_is_no_subject(kind: Any, subject: str) -> None:
    (field,) = [field for field in msgspec.structs.fields(kind) if field.name == "subject"]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(subject, field.type)


def test_no_account_is_called_what_means_nobody(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text('[accounts.-]\npassword_hash = "$argon2id$x"\n')
    with pytest.raises(AccountsError, match="choose another name"):
        read_accounts(path)
