"""A file beside the data of the embedded Redis: that there is some, and by namespace what tells its server key.

The doctor reads it while no server runs. A start that finds it and no data is refused, because it would hide the loss.
"""

import json
import os
from pathlib import Path

from service.embedded.prerequisites import EmbeddedError
from service.user_files import write_private

NAME = "data.json"


def note_data(folder: Path, namespace: str, key_mark: bytes) -> None:
    """From now on there is data of this namespace, under this server key. Raises OSError."""
    noted = noted_marks(folder)
    if noted.get(namespace) != key_mark:
        content = {name: mark.decode() for name, mark in {**noted, namespace: key_mark}.items()}
        write_private(folder / NAME, json.dumps(content) + "\n")


def noted_marks(folder: Path) -> dict[str, bytes]:
    """Of each namespace the mark of its server key; empty where there was no data yet, or somebody edited the file."""
    try:
        return {name: mark.encode() for name, mark in json.loads((folder / NAME).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def has_data(folder: Path) -> bool:
    """Is there an append-only file to start from?"""
    # Of 7.0 and later it has parts, and without the manifest a server starts empty beside them all.
    named = (folder / "appendonlydir" / "appendonly.aof.manifest").exists()
    parts = folder.glob("appendonlydir/appendonly.aof.*.*") if named else [folder / "appendonly.aof"]
    # What has no byte has lost them: the first that is written of tokens is the mark of their server key.
    return any(part.exists() and part.stat().st_size for part in parts)


def refuse_lost_data(folder: Path, *, is_empty: bool = False) -> None:
    """Raises EmbeddedError where there was data and is no append-only file, or `is_empty` the server that read it."""
    if os.path.exists(folder / NAME) and (is_empty or not has_data(folder)):
        raise EmbeddedError(
            f"the append-only file in {folder} is gone or empty, and with it every token: restore it from a backup, "
            f"or remove {folder / NAME} to start empty"
        )
