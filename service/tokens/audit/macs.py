"""MACs over the audit log: checkpoints that reveal an entry changed, lost, added or moved. No I/O.

A script that writes an entry cannot know the previous one without another round trip or a lock, which would
halve the rate of changes. So each entry has a MAC of its own, and once a second a checkpoint seals the entries
since the last one: it holds a mark for each entry, made of its id and its MAC, and the MAC of the previous
checkpoint. Each mark is kept separately because the stream is trimmed at its old end: the remaining entries of a
checkpoint can then still be verified.
"""

from collections.abc import Sequence

from service.keyring import DerivedKeys, Keyring
from service.store.audit import START, Checkpoint, Stored

MARK_BYTES = 8
# Entries of one checkpoint; marking so many takes the event loop half a millisecond.
LONGEST = 100


def genuine(keyring: Keyring, entry: Stored) -> bool:
    """True if this service wrote the words of this entry. Says nothing about its place."""
    return keyring.signer("audit", entry.body, entry.seal) is not None


def mark(keys: DerivedKeys, scope: bytes, entry: Stored) -> bytes:
    """What a checkpoint stores of an entry: a MAC over its words, its id and, by `scope`, its stream."""
    text = b"\n".join((scope, entry.entry_id.encode(), entry.seal.encode("latin-1")))
    # Cut short, because a checkpoint has one for each entry.
    return bytes.fromhex(keys.mac("mark", text))[:MARK_BYTES]


def make_checkpoint(
    keyring: Keyring, scope: bytes, entries: Sequence[Stored], last: Checkpoint | None, *, keep: int
) -> Checkpoint:
    """The next checkpoint, over one or more entries that follow the last checkpoint."""
    unsigned = Checkpoint(
        entry_id=entries[-1].entry_id,
        after=last.entry_id if last else START,
        before=sealed_with(last),
        keep=keep,
        previous=last.mac if last else "",
        marks=b"".join(mark(keyring.present, scope, entry) for entry in entries),
        mac="",
    )
    return unsigned._replace(mac=keyring.mac("checkpoint", _signed_part(scope, unsigned)))


def signer(keyring: Keyring, scope: bytes, checkpoint: Checkpoint) -> DerivedKeys | None:
    """The keys that made this checkpoint, None if it was changed or anyone else made it."""
    return keyring.signer("checkpoint", _signed_part(scope, checkpoint), checkpoint.mac)


def sealed_with(checkpoint: Checkpoint | None) -> int:
    """How many entries had ever been sealed up to and including this checkpoint."""
    return 0 if checkpoint is None else checkpoint.before + len(checkpoint.marks) // MARK_BYTES


def marks_of(checkpoint: Checkpoint) -> list[bytes]:
    """One mark for each entry, in order."""
    marks = checkpoint.marks
    return [marks[start : start + MARK_BYTES] for start in range(0, len(marks), MARK_BYTES)]


def _signed_part(scope: bytes, checkpoint: Checkpoint) -> bytes:
    # By position: a field inserted among these would break the seal of every existing checkpoint.
    return b"\n".join((scope, *(str(part).encode("latin-1") for part in checkpoint[:5]), checkpoint.marks))
