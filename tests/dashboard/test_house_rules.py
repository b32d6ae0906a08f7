"""What the page's files may not hold, read without a browser."""

import re
from collections import Counter
from importlib.resources import files

import pytest

from service.api.pages.csv_rows import csv_rows

FOLDER = files("service").joinpath("dashboard")
MODULES = {
    entry.name: entry.read_text("utf-8") for entry in FOLDER.joinpath("js").iterdir() if entry.name.endswith(".js")
}
INDEX = FOLDER.joinpath("index.html").read_text("utf-8")
STYLE = FOLDER.joinpath("app.css").read_text("utf-8")
LONGEST_FILE = 250
# Before the modules, and alone.
CLASSIC = "theme.js"

FORBIDDEN = {
    "markup from text": r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|setHTML|document\.write",
    "code from text": r"\beval\s*\(|new\s+Function|\bFunction\s*\(|set(Timeout|Interval)\s*\(\s*[\"'`]|\bimport\s*\((?!\"\./\w+\.js\"\))",
    "an inline style": r"setAttribute\(\s*[\"'`]style|\.style\b|cssText",
    "an inline handler": r"\bon[a-z]+\s*=\s*[\"'`{(]|setAttribute\(\s*[\"'`]on",
    "an address of elsewhere": r"(https?|wss?|ftp):\/\/|[\"'`(]\/\/[a-z]",
    "a store for secrets": r"sessionStorage|indexedDB|document\.cookie|caches\b",
    "a log": r"console\.|debugger|alert\(",
}
TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+|\[[^\]]*\]|\{[^}]*\})", re.MULTILINE)


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_no_module_breaks_the_rule(rule: str) -> None:
    # The example for a gateway names the reader's own application, put together so that no rule needs an exception.
    found = {name: re.findall(FORBIDDEN[rule], text) for name, text in MODULES.items()}
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("markup from text", "node.innerHTML = name;"),
        ("code from text", 'setTimeout("run()", 5);'),
        ("code from text", "import(`./${name}.js`);"),
        ("an inline style", 'node.setAttribute("style", "color: red");'),
        ("an inline handler", 'button.onclick = "run()";'),
        ("an address of elsewhere", 'fetch("https://example.org/");'),
        ("a store for secrets", "sessionStorage.secret = secret;"),
        ("a log", "console.log(secret);"),
    ],
)
def test_each_rule_would_notice(rule: str, line: str) -> None:
    assert re.search(FORBIDDEN[rule], line)


def test_storage_keeps_preferences_alone() -> None:
    uses = {name: re.findall(r"localStorage\.?\w*(?:\([^)]*\))?", text) for name, text in MODULES.items()}

    assert {name: found for name, found in uses.items() if found} == {
        "shell.js": ["localStorage.setItem(name, value)", "localStorage.getItem(name)"],
        "theme.js": ["localStorage.theme"],
    }
    assert set(re.findall(r"kept\(\"(\w+)\"", "".join(MODULES.values()))) == {"keys", "theme", "views"}


def test_the_index_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", INDEX)
    assert all("@VERSION@" in address for address in re.findall(r'(?:src|href)="(/[^"]*)"', INDEX))
    assert re.findall(r"<script[^>]*>([^<]*)</script>", INDEX) == ["", ""]
    assert not re.search(r"url\(|@import|https?:", STYLE)


def test_every_import_is_there_and_is_used() -> None:
    for name, text in MODULES.items():
        for names, module in re.findall(r'^import \{([^}]*)\} from "\./([^"]+)";$', text, re.MULTILINE):
            body = text.replace(f"{{{names}}}", "", 1)
            for wanted in re.findall(r"\w+", names):
                assert re.search(rf"^export .*\b{wanted}\b", MODULES[module], re.MULTILINE), (
                    f"{name}: {wanted} of {module}"
                )
                assert re.search(rf"\b{wanted}\b", body), f"{name} does not use {wanted}"


def test_a_name_means_one_thing_in_all_modules() -> None:
    """So that the modules are the same program when they travel as one script."""
    names = Counter(
        name
        for module, text in MODULES.items()
        if module != CLASSIC
        for declared in TOP_LEVEL.findall(text)
        for name in re.findall(r"\w+", declared.split(":")[-1] if declared.startswith("{") else declared)
    )

    assert [name for name, times in names.items() if times > 1] == []


def test_a_name_that_travels_short_is_no_member() -> None:
    """Neither of an object nor in one, for there it would have to be looked for under what it is called."""
    short = {
        name
        for text in MODULES.values()
        for declared in TOP_LEVEL.findall(text)
        for name in re.findall(r"\w+", declared)
        if re.fullmatch(r"[A-Z][A-Z_]{2,}|[a-z]+[A-Z]\w*", name)
    }
    code = re.sub(
        r'"(?:[^"\\\n]|\\.)*"|//.*|^(?:im|ex)port \{.*|\$\{', "", "\n".join(MODULES.values()), flags=re.MULTILINE
    )
    members = re.findall(r"(?<!\.)\.(\w+)|[{,]\s*(\w+):", code)
    shorthand = [name for inside in re.findall(r"\{([\w\s,]+)\}", code) for name in re.findall(r"\w+", inside)]

    assert {"TOKENS", "openDialog", "withQuery"} <= short
    assert short & {*(name for pair in members for name in pair), *shorthand} == set()


def test_files_stay_small() -> None:
    assert {name: text.count("\n") for name, text in MODULES.items() if text.count("\n") > LONGEST_FILE} == {}
    assert {
        name: max(map(len, text.splitlines()))
        for name, text in MODULES.items()
        if max(map(len, text.splitlines())) > 120
    } == {}


def test_a_file_of_the_page_guards_the_same_signs_against_spreadsheets_as_one_of_the_service() -> None:
    """The page writes the list as it shows it, so the rule stands there again."""
    (pattern,) = re.findall(r"\((/\S+/)\.test\(text\) \? `'", MODULES["csv.js"])
    signs = [chr(code) for code in range(0x10000) if chr(code) not in '",\n']
    guarded = [sign for sign in signs if re.match(pattern.strip("/"), sign)]
    assert guarded == [sign for sign in signs if "'" + sign in csv_rows([[sign]])]
    assert len(guarded) > 4
