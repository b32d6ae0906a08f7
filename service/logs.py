"""Logging: one line per event on standard error, JSON for machines, plain for a terminal. Never a secret."""

import json
import logging
import sys
import time
from typing import Any

from service.settings import Settings

# Characters that a terminal or a log reader would act on; names and paths from outside may contain them.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
_LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: at, level, logger, message and what the caller added under `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Not msgspec: it refuses half a surrogate pair, which a file name that is not UTF-8 contains.
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """The same content for people: time, level, message, facts."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in getattr(record, "facts", {}).items())
        line = f"{time.strftime('%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()} {facts}".rstrip()
        line = line.translate(_CONTROLS)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(settings: Settings) -> None:
    """Send all logging, including uvicorn's, to standard error in the chosen form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if wants_json_logs(settings) else TextFormatter())
    root = logging.getLogger()
    # Replaces the handlers of libraries or tests, so that each line is written once.
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        # uvicorn writes a line per request if this logger, or one above it, has a handler.
        logger.propagate = name != "uvicorn.access"
    # Our own lines report start and stop; uvicorn's would repeat them.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def wants_json_logs(settings: Settings) -> bool:
    """True for JSON lines: chosen, or no person watches a terminal."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
