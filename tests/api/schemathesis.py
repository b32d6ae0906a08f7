"""Asks a service all that its OpenAPI document lets anybody ask: `make schemathesis`, two minutes at most.

Every answer must be one that the document has, and what its schemas forbid must be refused. That what they allow is
taken is not asked: some rules (a date ahead, one of several fields) stand in no schema. Every method is one of a
gateway's questions.
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tests.cli.running import running

PASSWORD = "correct horse"
SETTINGS = {"TOKENS_ADMIN_PASSWORD": PASSWORD, "TOKENS_LOG_FORMAT": "json"}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
# It writes no lines of JSON; and a session is ended with 200, whatever the body.
PASSED_OVER = ("importTokens", "endSession")


def session(url: str) -> str:
    """The secret of an administrator's session."""
    body = json.dumps({"username": "admin", "password": PASSWORD}).encode()
    request = urllib.request.Request(f"{url}/api/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["token"])


def main(program: str, *more: str) -> int:
    """Run Schemathesis by a Python that has it, with `more` options, against a service of its own; its exit status."""
    with tempfile.TemporaryDirectory(prefix="tk") as folder, running(Path(folder), **SETTINGS) as service:
        command = [
            *(str(Path(program).absolute()), "-m", "schemathesis.cli", "run"),
            f"{service.url}/openapi.json",
            *("--header", f"Authorization: Bearer {session(service.url)}"),
            *("--checks", ",".join(CHECKS)),
            *(word for name in PASSED_OVER for word in ("--exclude-operation-id", name)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "20", "--max-time", "120"),
            *("--continue-on-failure", "--generation-deterministic", "--warnings", "off", "--no-color"),
            *more,
        ]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
