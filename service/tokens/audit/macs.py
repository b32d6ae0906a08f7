"""MACs over the audit log: checkpoints that show an entry changed, lost, added or moved. No I/O.

A script that writes an entry cannot know the one before without another round trip or a lock, which would
halve the rate of changes. So each entry carries a MAC of its own, and once a second a checkpoint seals
what came since the last one: a mark for each entry, made of its id and its MAC, and the MAC of the
checkpoint before. Marks are kept one by one because the stream is trimmed at its old end: what is left of
a checkpoint's entries can still be told from what was taken out.
"""

from collections.abc import Sequence

from service.keyring import DerivedKeys, Keyring
from service.store.audit import START, Checkpoint, Stored

MARK_BYTES = 8
# Entries of one checkpoint: to mark so many keeps the loop for half a millisecond.
LONGEST = 100


def genuine(keyring: Keyring, entry: Stored) -> bool:
    """Did this service write this entry's words? Says nothing of its place."""
    return keyring.signer("audit", entry.body, entry.seal) is not None


def mark(keys: DerivedKeys, scope: bytes, entry: Stored) -> bytes:
    """What a checkpoint remembers of an entry: its words, its id and, by `scope`, its stream."""
    text = b"\n".join((scope, entry.entry_id.encode(), entry.seal.encode("latin-1")))
    # Cut short, because a checkpoint keeps one for each entry.
    return bytes.fromhex(keys.mac("mark", text))[:MARK_BYTES]


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
        marks=b"".join(mark(keyring.present, scope, entry) for entry in entries),
        mac="",
    )
    return unsigned._replace(mac=keyring.mac("checkpoint", _signed_part(scope, unsigned)))


def signer(keyring: Keyring, scope: bytes, checkpoint: Checkpoint) -> DerivedKeys | None:
    """The keys that made this checkpoint, None if it was changed or made by somebody else."""
    return keyring.signer("checkpoint", _signed_part(scope, checkpoint), checkpoint.mac)


def sealed_with(checkpoint: Checkpoint | None) -> int:
    """How many entries had ever been sealed with this checkpoint."""
    return 0 if checkpoint is None else checkpoint.before + len(checkpoint.marks) // MARK_BYTES


def marks_of(checkpoint: Checkpoint) -> list[bytes]:
    """One mark for each entry, in order."""
    marks = checkpoint.marks
    return [marks[start : start + MARK_BYTES] for start in range(0, len(marks), MARK_BYTES)]


def _signed_part(scope: bytes, checkpoint: Checkpoint) -> bytes:
    # By position: a member inserted among these would break the seal of every checkpoint there is.
    return b"\n".join((scope, *(str(part).encode("latin-1") for part in checkpoint[:5]), checkpoint.marks))
