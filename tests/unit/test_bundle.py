"""The page's files as they are served: one script in an order that works, and light."""

from __future__ import annotations

import re
from importlib.resources import files

from service.dashboard.bundle import concatenated, load, tight


def test_a_module_comes_behind_what_it_imports_and_once() -> None:
    scripts = {
        "js/main.js": 'import { a } from "./a.js";\nimport { b } from "./b.js";\na(b);\n',
        "js/a.js": 'import { b } from "./b.js";\nexport function a() {\n  return [\n    b]; // kept: it shares its line;\n}\n',
        "js/b.js": "// gone\nexport const b = 1;\n",
        "js/unused.js": "export const unused = 1;\n",
    }
    assert concatenated(scripts) == "const b=1;function a() {return [b]; // kept: it shares its line;\n}\na(b);"


def test_modules_that_import_each_other_are_concatenated_too() -> None:
    scripts = {
        "js/main.js": 'import { a } from "./a.js";\na();\n',
        "js/a.js": 'import { b } from "./b.js";\nexport function a() { b(); }\n',
        "js/b.js": 'import { a } from "./a.js";\nexport function b() { a(); }\n',
    }
    assert concatenated(scripts) == "function b() { a(); }\nfunction a() { b(); }\na();"


def test_text_over_several_lines_stays_as_it_is() -> None:
    text = "`\n  // not a comment\n    a = b &&\n`"
    script = f"// a comment\nconst config = {text};\nconst other = [\n  {text},\n];\n"
    assert concatenated({"js/main.js": script}) == f"const config={text};const other=[{text},];"


def test_no_text_that_is_shown_reads_like_code_to_the_bundle() -> None:
    for path in files("service").joinpath("dashboard", "js").iterdir():
        shown = re.findall(r'"(?:[^"\\\n]|\\.)*"|`[^`\n]*`', re.sub(r"\$\{[^}]*\}", "", path.read_text("utf-8")))
        assert [text for text in shown if re.search(r" (=|=>|===|!==|&&|\|\|) ", text)] == [], path.name


def test_a_style_loses_the_space_that_means_nothing() -> None:
    style = "@media (width < 9px) and (x: y) {\n  a :hover, b::after {\n    margin: 0 1px;\n    color: red;\n  }\n}\n"
    assert tight(style) == "@media (width < 9px) and (x:y){a :hover,b::after{margin:0 1px;color:red;}}"


def test_the_page_weighs_at_most_thirty_kilobytes_and_its_addresses_carry_the_checksum() -> None:
    found = load()
    assert sum(len(asset.packed) for asset in found.assets.values()) <= 30_000
    page = found.assets["index.html"].body.decode()
    addresses = re.findall(r'(?:src|href)="/dashboard/(\w+)/([^"]+)"', page)
    assert len(addresses) >= 4
    assert all(version == found.version and path in found.assets for version, path in addresses)
    assert not re.search(r"^(?:import|export) ", found.assets["js/main.js"].body.decode(), re.MULTILINE)
