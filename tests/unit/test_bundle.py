"""The page's files as they are served: two scripts in an order that works, and light."""

import gzip
import re

import pytest

from service.dashboard.bundle import load
from service.dashboard.minifier import bundle, squeeze, tight


def test_a_module_comes_behind_what_it_imports_and_once() -> None:
    scripts = {
        "js/main.js": 'import { a } from "./a.js";\nimport { b } from "./b.js";\na(b);\n',
        "js/a.js": 'import { b } from "./b.js";\nexport function a() {\n  return [\n    b]; // gone, too;\n /* and\nso is this */\n}\n',
        "js/b.js": "// gone\nexport const b = 1;\n",
        "js/unused.js": "export const unused = 1;\n",
        "js/screens.js": "",
    }
    assert bundle(scripts)["js/main.js"] == "let b=1;function a(){return[b]}a(b);"


def test_modules_that_import_each_other_are_bundled_too() -> None:
    scripts = {
        "js/main.js": 'import { a } from "./a.js";\na();\n',
        "js/a.js": 'import { b } from "./b.js";\nexport function a() { b(); }\n',
        "js/b.js": 'import { a } from "./a.js";\nexport function b() { a(); }\n',
        "js/screens.js": "",
    }
    assert bundle(scripts)["js/main.js"] == "function b(){a()}function a(){b()}a();"


def test_what_the_screens_need_of_the_first_script_it_hands_them() -> None:
    scripts = {
        "js/main.js": 'import { a } from "./a.js";\na();\nimport("./screens.js");\n',
        "js/a.js": "export const a = 1;\nexport const b = 2;\nexport const unshared = 3;\n",
        "js/screens.js": 'export { c } from "./c.js";\n',
        "js/c.js": 'import { a, b } from "./a.js";\nimport { d } from "./d.js";\nexport const c = a + b + d;\n',
        "js/d.js": 'import { b } from "./a.js";\nexport const d = b;\n',
    }
    assert bundle(scripts) == {
        "js/main.js": 'export let a=1;export let b=2;let unshared=3;a();import("./screens.js");',
        "js/screens.js": 'import{a,b}from"./main.js";let d=b;export let c=a+b+d;',
    }


def test_constants_and_functions_of_several_words_travel_under_short_names() -> None:
    scripts = {
        "js/main.js": 'import { MOST, mostOf } from "./a.js";\nconst [ONE_OF, OTHERS] = [MOST, "MOST"];\nf(`ONE_OF ${ONE_OF}`, OTHERS, JSON, mostOf);\n',
        "js/a.js": "export const MOST = 1;\nexport function mostOf() {}\n",
        "js/screens.js": 'export { cScreen } from "./c.js";\n',
        "js/c.js": 'import { MOST, mostOf } from "./a.js";\nexport const cScreen = mostOf(MOST, "mostOf");\n',
    }
    assert bundle(scripts) == {
        "js/main.js": 'export let $2=1;export function $3(){}let[$0,$1]=[$2,"MOST"];f(`ONE_OF ${$0}`,$1,JSON,$3);',
        # Asked for by its name, which stays.
        "js/screens.js": 'import{$2,$3}from"./main.js";export let cScreen=$3($2,"mostOf");',
    }


def test_text_over_several_lines_stays_as_it_is() -> None:
    text = "`\n  // not a comment\n    a = b &&\n`"
    script = f"// a comment\nconst config = {text};\nconst other = [\n  {text},\n];\n"
    assert bundle({"js/main.js": script, "js/screens.js": ""})["js/main.js"] == f"let config={text},other=[{text}];"


def test_only_code_loses_the_space_that_means_nothing() -> None:
    script = """f(a , { b : "x , { y;" , } ) ; // isn't , code
const c = `a , ${ d ? `{ , } ${ { e : [ 1 , 2 ] } }` : "`" } ; ${ g }` ;
const h = 'a = "b"' , i = j . replaceAll(/[" /]+ = `/ , "" ) / 2 + +k ;
l(async (m) => n((o) => o - 1 + a++ + b) , (p) => p
.q , r
? s : t ,
) ;"""
    assert (
        squeeze(script, {})
        == """f(a,{b:"x , { y;"});let c=`a , ${d?`{ , } ${{e:[1,2]}}`:"`"} ; ${g}`,h='a = "b"',i=j . replaceAll(/[" /]+ = `/,"")/2 + +k;l(async(m)=>n(o=>o-1+a++ + b),p=>p.q,r?s:t);"""
    )
    with pytest.raises(ValueError, match='no script from here: "'):
        squeeze('a = "never closed', {})


def test_declarations_that_follow_each_other_are_one() -> None:
    script = """const a = "x;"; const { b } = f((c) => { const d = 1; const [e] = d; return e; }); let g;
for (const h of b) { const i = h; g = i; const j = i; k(j); }
if (g) { g(); }
const l = a; export const m = l; const n = m; function o() { const p = n; } const q = o; const r = q;
"""
    assert squeeze(script, {}) == (
        'let a="x;",{b}=f(c=>{let d=1,[e]=d;return e}),g;for(let h of b){let i=h;g=i;let j=i;k(j)}if(g){g()}'
        "let l=a;export let m=l;let n=m;function o(){let p=n}let q=o,r=q;"
    )


def test_a_style_loses_the_space_that_means_nothing() -> None:
    style = "@media (width < 9px) and (x: y) {\n  a :hover, b::after {\n    margin: 0 1px;\n    color: red;\n  }\n}\n"
    assert tight(style) == "@media (width < 9px) and (x:y){a :hover,b::after{margin:0 1px;color:red}}"
    named = "a { --one-of: 1px; --one: calc(2px + var(--one-of)); }\nb > c { margin: var(--one); }\n"
    assert tight(named) == "a{--0:1px;--1:calc(2px + var(--0))}b>c{margin:var(--1)}"


def test_the_first_view_weighs_at_most_thirty_kilobytes_and_all_addresses_carry_the_checksum() -> None:
    found = load()
    weights = {path: len(packed) for path, packed in found.packed.items()}
    page, script = (gzip.decompress(found.packed[path]).decode() for path in ("index.html", "js/main.js"))
    assert sum(weights.values()) - weights["js/screens.js"] <= 30_000
    assert sum(weights.values()) <= 48_000
    addresses = re.findall(r'(?:src|href)="/dashboard/(\w+)/([^"]+)"', page)
    assert len(addresses) >= 4
    assert all(version == found.version and path in found.packed for version, path in addresses)
    # The address of the second script is relative to the first one's, and so of the same build.
    assert 'import("./screens.js")' in script
    assert not re.search(r"^import ", script, re.MULTILINE)
