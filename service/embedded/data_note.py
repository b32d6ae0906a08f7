"""A file beside the data of the embedded Redis. It records that there is data, and a mark of each server key.

The doctor reads it while no server runs. A start that finds this file but no data is refused: it would hide the loss.
"""

import json
import os
from pathlib import Path

from service.embedded.prerequisites import EmbeddedError
from service.user_files import write_private

NAME = "data.json"


def note_data(folder: Path, namespace: str, key_mark: bytes) -> None:
    """Record that this namespace has data under this server key. Raises OSError."""
    noted = noted_marks(folder)
    if noted.get(namespace) != key_mark:
        content = {name: mark.decode() for name, mark in {**noted, namespace: key_mark}.items()}
        write_private(folder / NAME, json.dumps(content) + "\n")


def noted_marks(folder: Path) -> dict[str, bytes]:
    """The mark of the server key of each namespace; empty without data so far, or if somebody edited the file."""
    try:
        return {name: mark.encode() for name, mark in json.loads((folder / NAME).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def has_data(folder: Path) -> bool:
    """True if there is an append-only file to start from."""
    # From 7.0 on the file has parts, and without their manifest a server starts empty.
    named = (folder / "appendonlydir" / "appendonly.aof.manifest").exists()
    parts = folder.glob("appendonlydir/appendonly.aof.*.*") if named else [folder / "appendonly.aof"]
    # An empty file has lost its data: the first bytes ever written are the mark of the server key.
    return any(part.exists() and part.stat().st_size for part in parts)


def refuse_lost_data(folder: Path, *, is_empty: bool = False) -> None:
    """Raises EmbeddedError if data was recorded, but the append-only file is gone or (`is_empty`) had none."""
    if os.path.exists(folder / NAME) and (is_empty or not has_data(folder)):
        raise EmbeddedError(
            f"the append-only file in {folder} is gone or empty, and with it every token: restore it from a backup, "
            f"or remove {folder / NAME} to start empty"
        )
