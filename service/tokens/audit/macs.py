"""MACs over the audit log: checkpoints that show an entry changed, lost, added or moved. No I/O.

A script that writes an entry cannot know the one before without another round trip or a lock, which would
halve the rate of changes. So each entry carries a MAC of its own, and once a second a checkpoint seals
what came since the last one: a mark for each entry, made of its id and its MAC, and the MAC of the
checkpoint before. Marks are kept one by one because the stream is trimmed at its old end: what is left of
a checkpoint's entries can still be told from what was taken out.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.keyring import Keyring
from service.store.audit import START, Checkpoint, Stored

MARK_BYTES = 8
LONGEST = 1000


def genuine(keyrings: Sequence[Keyring], entry: Stored) -> bool:
    """Did this service write this entry's words? Says nothing of its place."""
    return any(keyring.mac("audit", entry.body) == entry.seal for keyring in keyrings)


def mark(keyring: Keyring, scope: bytes, entry: Stored) -> bytes:
    """What a checkpoint remembers of an entry: its words, its id and, by `scope`, its stream."""
    text = b"\n".join((scope, entry.entry_id.encode(), entry.seal.encode("latin-1")))
    return bytes.fromhex(keyring.mac("mark", text))[:MARK_BYTES]


def make_checkpoint(
    keyring: Keyring, scope: bytes, entries: Sequence[Stored], last: Checkpoint | None, *, keep: int
) -> Checkpoint:
    """The next checkpoint, over one entry or more that follow the last one."""
    unsigned = Checkpoint(
        entry_id=entries[-1].entry_id,
        after=last.entry_id if last else START,
        before=sealed_with(last),
        keep=keep,
        previous=last.mac if last else "",
        marks=b"".join(mark(keyring, scope, entry) for entry in entries),
        mac="",
    )
    return unsigned._replace(mac=_mac(keyring, scope, unsigned))


def signer(keyrings: Sequence[Keyring], scope: bytes, checkpoint: Checkpoint) -> Keyring | None:
    """The keyring that made this checkpoint, None if it was changed or made by somebody else."""
    return next((keyring for keyring in keyrings if _mac(keyring, scope, checkpoint) == checkpoint.mac), None)


def sealed_with(checkpoint: Checkpoint | None) -> int:
    """How many entries had ever been sealed with this checkpoint."""
    return 0 if checkpoint is None else checkpoint.before + len(checkpoint.marks) // MARK_BYTES


def marks_of(checkpoint: Checkpoint) -> list[bytes]:
    """One mark for each entry, in order."""
    marks = checkpoint.marks
    return [marks[start : start + MARK_BYTES] for start in range(0, len(marks), MARK_BYTES)]


def _mac(keyring: Keyring, scope: bytes, checkpoint: Checkpoint) -> str:
    parts = (scope, *(str(part).encode("latin-1") for part in checkpoint[:5]), checkpoint.marks)
    return keyring.mac("checkpoint", b"\n".join(parts))
