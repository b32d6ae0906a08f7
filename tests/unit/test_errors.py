"""What msgspec refuses is said in words that a caller can act on."""

import gc
from typing import Annotated, Any, Literal

import msgspec
import pytest

from service.api.admin.schemas.creation import CreateToken
from service.api.admin.schemas.tokens import EndTokens
from service.errors import place_and_reason
from service.model import Role, Scope

DURATIONS = "1month, 1year, 6months, 7days or never"
LIMIT = {"limit": 1, "calendar": {"unit": "week"}}
VISIBLE = "write text of 16 to 1024 characters out of visible ASCII"


@pytest.mark.parametrize(
    ("kind", "value", "place", "reason"),
    [
        (list[Scope], ["Orders"], "[0]", "write text of 1 to 64 characters out of a-z0-9:._*-"),
        (Annotated[str, msgspec.Meta(pattern=r"^[!-~]{16,1024}\Z")], "short", "", VISIBLE),
        (CreateToken, {"name": "a", "maxUses": 0}, "maxUses", "write a whole number >= 1"),
        (CreateToken, {"name": "a", "maxUses": "many"}, "maxUses", "write a whole number or null"),
        (Annotated[str, msgspec.Meta(max_length=3)], "abcd", "", "write text of at most 3 characters"),
        (Annotated[list[int], msgspec.Meta(min_length=1)], [], "", "write a list that is not empty"),
        (Annotated[str, msgspec.Meta(min_length=2)], "a", "", "write text of at least 2 characters"),
        (CreateToken, {"name": "a", "duration": "2weeks"}, "duration", f"write {DURATIONS}"),
        (CreateToken, {"name": "a", "limits": [LIMIT]}, "limits[0].calendar.unit", "write day, hour or month"),
        (dict[str, list[Role]], {"a b[0].c": ["root"]}, "[...][0]", "write admin, viewer or user"),
        (Literal["x"], "y", "", "write x"),
        (EndTokens, {"all": False}, "all", "write true"),
        (
            Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?\Z")],
            "g",
            "",
            "write text of 16 characters out of 0-9a-f",
        ),
        (CreateToken, {}, "name", "is missing"),
        (CreateToken, {"name": "a", "limits": [{}]}, "limits[0].limit", "is missing"),
        (CreateToken, {"name": "a", "nme": 1}, "nme", "is not known"),
        (CreateToken, {"name": None}, "name", "write text"),
    ],
)
def test_a_place_and_a_reason(kind: Any, value: object, place: str, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(value, kind)

    assert place_and_reason(refused.value, kind) == (place, reason)


def test_a_refusal_leaves_nothing_to_the_garbage_collector() -> None:
    def refuse() -> None:
        with pytest.raises(msgspec.ValidationError) as refused:
            msgspec.convert({"name": "a", "duration": "2weeks"}, CreateToken)
        assert place_and_reason(refused.value, CreateToken)[0] == "duration"
        # Its traceback knows this very frame.
        del refused

    gc.disable()
    try:
        refuse()
        gc.collect()
        refuse()
        assert gc.collect() == 0
    finally:
        gc.enable()
