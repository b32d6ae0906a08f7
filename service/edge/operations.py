"""Which operations of the application are answered on the fast path."""

from __future__ import annotations

from collections.abc import Mapping

from service.edge.fast_cycle import OperationCycle
from service.edge.introspection import IntrospectionCycle
from service.edge.one_time import ConsumeCycle, GenerateCycle, generates
from service.edge.session_check import SessionCheckCycle, check_of

_POSTED: dict[bytes, type[OperationCycle[bytes]]] = {
    cycle.template.encode(): cycle for cycle in (IntrospectionCycle, ConsumeCycle)
}
# The digits of a length that is read here: a longer body is for the ordinary way.
_DIGITS = 4


def operation_of(
    method: bytes, url: bytes, named: Mapping[bytes, bytes]
) -> tuple[type[OperationCycle[bytes]], bytes] | None:
    """The cycle that answers this request and what it is to be told; None where the ordinary way answers."""
    length = named.get(b"content-length", b"0")
    if method == b"POST":
        cycle = _POSTED.get(url)
        return (cycle, url) if cycle is not None and len(length) <= _DIGITS and length.isdigit() else None
    if length != b"0" or method not in (b"GET", b"HEAD"):
        return None
    if (secret := check_of(url, named)) is not None:
        return SessionCheckCycle, secret
    return (GenerateCycle, url) if generates(url, named) else None
