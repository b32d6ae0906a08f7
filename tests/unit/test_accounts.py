"""The accounts file: what is read, what is refused and with which words; when sessions are over."""

from pathlib import Path

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from service.keyring import Keyring
from service.model import Role
from service.tokens.accounts.accounts import Account, Accounts, AccountsError, read_accounts
from service.tokens.accounts.passwords import decoy_hash, hash_password, is_verifiable

HASH = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


def write(folder: Path, text: str) -> Path:
    path = folder / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_account_is_read_with_its_role(tmp_path: Path) -> None:
    text = (
        f'[accounts.ada]\npassword_hash = "{HASH}"\nrole = "admin"\n[accounts."Jürgen Ö"]\npassword_hash = "{HASH}"\n'
    )
    accounts = read_accounts(write(tmp_path, text))
    assert accounts == {"ada": Account(HASH, Role.ADMIN), "Jürgen Ö": Account(HASH, Role.USER)}


def test_a_file_from_windows_is_read_as_any_other(tmp_path: Path) -> None:
    assert set(read_accounts(write(tmp_path, f'\ufeff[accounts.ada]\r\npassword_hash = "{HASH}"\r\n'))) == {"ada"}


def test_an_empty_file_holds_no_accounts(tmp_path: Path) -> None:
    assert read_accounts(write(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[accounts.ada", "not a TOML file"),
        ('accounts = "ada"', "write one table"),
        (f'[ada]\npassword_hash = "{HASH}"', "write one table"),
        (f'[accounts.ada]\npassword_hash = "{HASH}"\n[other]', "write one table"),
        ("[accounts.ada]", "account ada: password_hash: is missing"),
        ('[accounts]\nada = "secret"', "account ada: write an object"),
        (
            f'[accounts.ada]\npassword_hash = "{HASH}"\nrole = "root"',
            "account ada: role: write admin, viewer or user",
        ),
        (f'[accounts.ada]\npassword_hash = "{HASH}"\ncolour = "red"', "account ada: colour: is not known"),
        ("[accounts.ada]\npassword_hash = 5", "account ada: password_hash: write text"),
        ('[accounts.ada]\npassword_hash = "$2b$12$abc"', "password_hash is not argon2id"),
        ('[accounts.ada]\npassword_hash = "$argon2i$v=19$x"', "password_hash is not argon2id"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_path_and_the_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(AccountsError) as caught:
        read_accounts(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        HASH + " ",
        " " + HASH,
        HASH + "\n",
        HASH[:-1],
        HASH + "=",
        HASH + "$",
        HASH.replace("aGF", "aG!"),
        "",
        HASH.replace("m=64,t=1", "t=1,m=64"),
        HASH.replace("m=64", "m=7"),
        HASH.replace("m=64,t=1,p=1", "m=15,t=1,p=2"),
        HASH.replace(",p=1", ""),
        HASH.replace("v=19", "v=20"),
        HASH.replace("c2FsdHNhbHQ", "c2FsdA"),
        HASH.replace("m=64", "m=99999999"),
        HASH.replace("argon2id", "argon2i"),
        HASH.replace("p=1", "p=0"),
        HASH[:-1] + "B",
    ],
)
def test_a_hash_that_no_password_could_fit_is_refused_with_its_line(tmp_path: Path, broken: str) -> None:
    quoted = broken.replace("\n", "\\n")
    text = f'# ada and bob\n[accounts.bob]\npassword_hash = "{HASH}"\n\n[accounts.ada]\nrole = "admin"\n'
    path = write(tmp_path, text + f'password_hash = "{quoted}"\n')
    with pytest.raises(AccountsError) as caught:
        read_accounts(path)
    assert str(caught.value).startswith(f"{path}: line ")
    assert "account ada: password_hash is not argon2id" in str(caught.value)


def test_the_line_is_that_of_the_hash(tmp_path: Path) -> None:
    for text, line in (
        (f'[accounts.bob]\npassword_hash = "{HASH}"\n[accounts.ada]\n\npassword_hash = "{HASH} "', 5),
        (f'[accounts]\n\nada = {{ password_hash = "{HASH} " }}\n', 3),
        (f'[accounts.ada]\npassword_hash = """{HASH}\n"""', 1),
    ):
        with pytest.raises(AccountsError, match=f"toml: line {line}: account ada: "):
            read_accounts(write(tmp_path, text))


def test_what_is_called_verifiable_is_what_argon2_takes() -> None:
    """Every hash that is let in can be checked: a password that does not fit is a mismatch, and no broken hash."""
    least = [HASH.replace("m=64", "m=8"), HASH.replace("m=64,t=1,p=1", "m=16,t=1,p=2")]
    for password_hash in (HASH, hash_password("correct horse"), decoy_hash(None), HASH.replace("$v=19", ""), *least):
        assert is_verifiable(password_hash)
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(password_hash, "another")


def test_a_password_in_clear_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = write(tmp_path, f'[accounts.ada]\npassword = "hunter2"\npassword_hash = "{HASH}"')
    with pytest.raises(AccountsError, match="token-service accounts hash") as caught:
        read_accounts(path)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccountsError, match="No such file"):
        read_accounts(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AccountsError, match="not a TOML file"):
        read_accounts(tmp_path / "bytes.toml")


@pytest.fixture
def accounts() -> Accounts:
    keyring = Keyring("a server key of the tests, long enough")
    return Accounts(
        {"ada": Account(HASH, Role.ADMIN), "bob": Account(HASH), "eve": Account(HASH, disabled=True)}, keyring
    )


def test_a_disabled_account_may_not_sign_in_and_has_no_password_mark(accounts: Accounts) -> None:
    assert len(accounts) == 3
    assert accounts.get("eve") is None
    assert accounts.password_mark("eve") is None
    assert accounts.get("nobody") is None
    assert accounts.get("ada") == Account(HASH, Role.ADMIN)


def test_password_marks_differ_by_account_though_the_hash_is_the_same(accounts: Accounts) -> None:
    assert accounts.password_mark("ada") != accounts.password_mark("bob")


def test_only_a_removal_a_disabling_or_another_password_ends_sessions(accounts: Accounts) -> None:
    assert accounts.replace({"ada": Account(HASH, Role.VIEWER), "bob": Account(HASH), "new": Account(HASH)}) == []
    assert accounts.replace({"ada": Account(HASH + "x"), "bob": Account(HASH, disabled=True)}) == [
        "ada",
        "bob",
        "new",
    ]
    assert accounts.password_mark("bob") is None
    assert accounts.any_hash() == HASH + "x"


def test_an_account_that_comes_back_unchanged_has_its_password_mark_again(accounts: Accounts) -> None:
    before = accounts.password_mark("ada")
    accounts.replace({})
    accounts.replace({"ada": Account(HASH)})
    assert accounts.password_mark("ada") == before
