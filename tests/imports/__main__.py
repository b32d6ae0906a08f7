"""Moves a token of each system to a service and uses it by its client's own header; fails where one is refused."""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from tests.api.running import COMMAND
from tests.api.schemathesis import SETTINGS, session
from tests.cli.running import running

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPT_ALSO = "scheme:Token,scheme:Api-Key"


def queries() -> dict[str, str]:
    """The first query in each line of the page's table, by the system's name."""
    page = (ROOT / "deploy" / "IMPORT.md").read_text(encoding="utf-8").replace(r"\|", "\0")
    found = re.findall(r"^\| ([^|]+?) \| `(select [^`]+)`", page, re.MULTILINE)
    return {name: query.replace("\0", "|") for name, query in found}


def validated(url: str, header: str) -> int:
    """What the service answers to this header."""
    name, _, value = header.partition(": ")
    request = urllib.request.Request(f"{url}/validate", headers={name: value})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def main(python: str, with_litellm: str, modules: str) -> int:
    """How many systems' tokens did not move, issued by two Pythons that have the systems and Node's of a folder."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="tk") as name:
        folder = Path(name)
        # LiteLLM would ask the internet for the prices of models, and PostgreSQL's wheel warns without such a folder.
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "true", "XDG_RUNTIME_DIR": name}
        others = [
            [str(Path(with_litellm).absolute()), str(HERE / "litellm_key.py")],
            ["node", str(HERE / "better_auth.mjs"), str(Path(modules).absolute())],
        ]
        issue = [Path(python).absolute(), HERE / "issue.py", folder / "postgres"]
        issue += [json.dumps(queries()), json.dumps(others)]
        issued = json.loads(subprocess.run(issue, check=True, stdout=subprocess.PIPE, env=environment).stdout)
        with running(folder, **SETTINGS, TOKENS_ACCEPT_ALSO=ACCEPT_ALSO) as service:
            environment = {**os.environ, "TOKENS_URL": service.url, "TOKENS_TOKEN": session(service.url)}
            command = [*COMMAND, "import", "--number-names", "--zone", "UTC", "-"]
            for system, (header, lines) in issued.items():
                before = validated(service.url, header)
                taken = subprocess.run(
                    command, input=lines, env=environment, capture_output=True, text=True, check=False
                )
                after = validated(service.url, header)
                works = (before, taken.returncode, after) == (401, 0, 200)
                failed += not works
                print(
                    system, "works" if works else f"FAILED: {before}, {taken.stdout}{taken.stderr}, {after}", flush=True
                )
    return failed


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
