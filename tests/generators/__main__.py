"""Makes, compiles and uses four clients; says what each did, and fails if one did something else."""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tests.api.schemathesis import PASSWORD, SETTINGS
from tests.cli.running import running

TOOLS = Path(".tools").absolute()
HERE = Path(__file__).parent
# One token listed, its check 200, one found, one ended, and its check 401.
EXPECTED = "1 200 1 1 401"
GO_MODULE = "module generated\n\ngo 1.24\n\nrequire github.com/oapi-codegen/runtime v1.9.0\n"


def run(folder: Path, *command: str | Path, **more: str) -> str:
    """What the command printed; what went wrong is shown. Raises CalledProcessError."""
    environment = {**os.environ, **more}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
    done.check_returncode()
    return done.stdout.strip()


def python(folder: Path, *call: str) -> str:
    """openapi-python-client."""
    tool = TOOLS / "openapi-python-client" / "bin"
    # It has no name for NDJSON, so the import is left to others; all else has to be there.
    said = run(
        folder,
        *(tool / "openapi-python-client", "generate", "--path", "document.json"),
        *("--output-path", "tokens_client", "--meta", "none"),
    )
    left_out = [line for line in said.splitlines() if "will not be generated" in line]
    assert len(left_out) == 1, said
    assert "/api/admin/tokens/import" in left_out[0], said
    run(folder, tool / "python", "-m", "compileall", "-q", "tokens_client")
    shutil.copy(HERE / "use.py", folder)
    return run(folder, tool / "python", "use.py", *call)


def typescript(folder: Path, *call: str) -> str:
    """openapi-typescript with openapi-fetch."""
    modules = TOOLS / "openapi-typescript" / "node_modules"
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}')
    run(folder, modules / ".bin" / "openapi-typescript", "document.json", "--output", "api.d.ts")
    shutil.copy(HERE / "use.ts", folder)
    # The names of Node's own that it uses, without the package of their types.
    (folder / "node.d.ts").write_text("declare const process: { argv: string[] };\n")
    compiler = (modules / ".bin" / "tsc", "--strict", "--target", "es2022", "--module", "nodenext")
    run(folder, *compiler, "--lib", "es2022,dom,dom.iterable", "use.ts", "node.d.ts")
    return run(folder, "node", "use.js", *call)


def go(folder: Path, *call: str) -> str:
    """oapi-codegen."""
    (folder / "tokens").mkdir()
    (folder / "go.mod").write_text(GO_MODULE)
    tool = TOOLS / "oapi-codegen" / "oapi-codegen"
    # It has what it made formatted by a `go` of the path.
    path = os.pathsep.join((str(TOOLS / "go" / "bin"), os.environ["PATH"]))
    asked = ("-generate", "types,client", "-package", "tokens", "-o", "tokens/tokens.go", "document.json")
    run(folder, tool, *asked, PATH=path)
    shutil.copy(HERE / "use.go", folder)
    run(folder, TOOLS / "go" / "bin" / "go", "build", "-o", "use", ".", GOFLAGS="-mod=mod")
    return run(folder, folder / "use", *call)


def java(folder: Path, *call: str) -> str:
    """openapi-generator."""
    (program,) = (TOOLS / "openapi-generator").glob("*.jar")
    run(
        folder,
        *("java", "-jar", program, "generate", "-i", "document.json", "-g", "java", "--library", "native", "-o", "."),
        *("--global-property", "apis,models,supportingFiles,apiDocs=false,modelDocs=false,apiTests=false"),
    )
    shutil.copy(HERE / "Use.java", folder / "src" / "main" / "java")
    run(folder, "mvn", "--quiet", "--batch-mode", "compile", "dependency:copy-dependencies", "-DincludeScope=runtime")
    classes = folder / "target" / "classes", folder / "target" / "dependency" / "*"
    return run(folder, "java", "-cp", os.pathsep.join(map(str, classes)), "Use", *call)


def main() -> int:
    """How many of the generators did not make a client that works."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="tk") as name, running(Path(name), **SETTINGS) as service:
        with urllib.request.urlopen(f"{service.url}/openapi.json", timeout=30) as answer:
            document = answer.read()
        for use in (python, typescript, go, java):
            folder = Path(name) / use.__name__
            folder.mkdir()
            (folder / "document.json").write_bytes(document)
            try:
                said = use(folder, service.url, PASSWORD)
            except (subprocess.CalledProcessError, AssertionError) as failure:
                said = str(failure)
            works = said == EXPECTED
            failed += not works
            print(use.__doc__, "works" if works else f"FAILED: {said}", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
