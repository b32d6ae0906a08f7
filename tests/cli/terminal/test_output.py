"""What commands print, for people, for pipes and for programs."""

import json

import pytest

from service.cli.terminal import output

ROWS = [("00a1", "checkout", "active", "2026-12-20T10:00:00Z", ["a", "b"]), ("00a2", "", "revoked", None, [])]
HEADINGS = ("ID", "NAME", "STATUS", "EXPIRES", "SCOPES")


def test_piped_rows_are_whole_tab_separated_and_without_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(HEADINGS, ROWS)
    assert capsys.readouterr().out == ("00a1\tcheckout\tactive\t2026-12-20T10:00:00Z\ta b\n00a2\t-\trevoked\t-\t-\n")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_aligned_columns_with_headings_and_coloured_states(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(HEADINGS, ROWS)
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.startswith("\x1b[1mID  \x1b[0m")
    assert first == "00a1  checkout  \x1b[32mactive \x1b[0m  2026-12-20 10:00Z  a b"
    assert second == "00a2  -         \x1b[31mrevoked\x1b[0m  -                  -"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_none_is_wanted(
    variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(*variable)
    output.print_table(HEADINGS, ROWS)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_an_empty_variable_asks_for_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    output.print_table(HEADINGS, ROWS)
    assert "\x1b" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_rows_are_whole_unless_they_may_be_made_to_fit(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("ID", "NAME"), [("1", "x" * 200)])
    assert capsys.readouterr().out.splitlines()[1] == "1   " + "x" * 200
    output.print_table(("ID", "NAME"), [("1", "x" * 200)], optional=0)
    assert capsys.readouterr().out.splitlines()[1] == "1   " + "x" * 75 + "…"
    output.print_table(("ID", "WHY"), [("1", "x" * 60 + " " + "y" * 40), ("2", "z")])
    assert capsys.readouterr().out.splitlines()[1:] == ["1   " + "x" * 60, "    " + "y" * 40, "2   z"]


@pytest.mark.usefixtures("terminal")
def test_the_last_columns_go_before_anything_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    row = [letter * 30 for letter in "abcd"]
    output.print_table(("A", "B", "C", "D"), [row], optional=2)
    assert capsys.readouterr().out.splitlines()[1] == f"{row[0]}  {row[1]}"
    output.print_table(("A", "B", "C", "D"), [row], optional=1)
    assert [len(cell) for cell in capsys.readouterr().out.splitlines()[1].split()] == [30, 23, 23]
    for whole in (("a", "b"), ("a" * 39, "b" * 39)):
        output.print_table(("A", "B"), [whole], optional=1)
        assert capsys.readouterr().out.splitlines()[1] == "  ".join(whole)


@pytest.mark.usefixtures("terminal")
def test_wide_and_combining_characters_keep_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("NAME", "ID"), [("漢字", "1"), ("e\u0301", "2"), ("abcd", "3")])
    assert capsys.readouterr().out.splitlines()[1:] == ["漢字  1", "e\u0301     2", "abcd  3"]


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_a_terminal_would_obey_is_shown_as_an_escape(
    on_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: on_terminal)
    hostile = "a\x1b]0;owned\x07b\tc\nd\x9bm\u202egnp"
    output.print_table(("NAME",), [(hostile,)])
    output.print_facts([("name", hostile)])
    said = capsys.readouterr().out
    assert said.count("a\\x1b]0;owned\\x07b\\x09c\\x0ad\\x9bm\\u202egnp") == 2
    assert not any(sign in said for sign in "\x1b\x07\x9b\u202e")


def test_json_reads_back_and_holds_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "Jürgen \x1b[2J \x9b \u202e", "n": [1, None, True]}
    output.print_json(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert "Jürgen" in said
    assert not any(sign in said for sign in "\x1b\x9b\u202e")


def test_facts_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_facts([("metadata", {"team": "pay"}), ("active", True), ("gone", False), ("none", None)])
    assert capsys.readouterr().out == "metadata\tteam=pay\nactive\tyes\ngone\tno\nnone\t-\n"
