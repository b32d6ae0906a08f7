"""The page on importing names only members that a line may have, and rules that there are."""

import re

import msgspec

from service.api.admin.schemas.imported import ImportedToken
from service.tokens.imported.rules import rule_of
from tests.contract.sources import ROOT

PAGE = (ROOT / "deploy/IMPORT.md").read_text(encoding="utf-8").replace("\\|", "|")
_MEMBER = re.compile(r"(?:json_build_object\(|json_object\(|, ?)'(\w+)', ?")


def test_every_query_makes_lines_that_can_be_read() -> None:
    named = _MEMBER.findall(PAGE)
    assert len(named) > 60
    assert set(named) <= {field.encode_name for field in msgspec.structs.fields(ImportedToken)}


def test_every_rule_that_is_written_is_one() -> None:
    rules = re.findall(r"'of', '([^']+)'", PAGE)
    assert len(rules) == 4
    assert [rule_of("sha256", of, is_clear=False).of for of in rules] == rules
