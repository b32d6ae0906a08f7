"""Two hundred strings that would like to be more than text."""

from __future__ import annotations

_CALLS = ["alert(1)", "window.pwned=1", "fetch('/api/admin/tokens',{method:'DELETE'})", "document.title='pwned'"]
_AROUND = [
    "<script>{}</script>",
    "<img src=x onerror={}>",
    "<svg onload={}>",
    "<svg><script>{}</script>",
    '"><script>{}</script>',
    "'><img src=x onerror={}>",
    "<iframe src=javascript:{}>",
    "<a href=javascript:{}>x</a>",
    "<details open ontoggle={}>",
    "<body onload={}>",
    "<input autofocus onfocus={}>",
    "<video><source onerror={}>",
    "<math><mi xlink:href=javascript:{}>",
    "<template><script>{}</script>",
    "</title><script>{}</script>",
    "</textarea><script>{}</script>",
    "--><script>{}</script>",
    "]]><script>{}</script>",
    "{{constructor.constructor('{}')()}}",
    "${{{}}}",
    "`;{};//",
    "');{};//",
    '\\"-{}-\\"',
    "javascript:{}",
    "data:text/html,<script>{}</script>",
    "<style>@import'javascript:{}'</style>",
    "<base href=javascript:{}//>",
    "<form action=javascript:{}><input type=submit>",
    "<object data=javascript:{}>",
    "<embed src=javascript:{}>",
    "<link rel=stylesheet href=javascript:{}>",
    "<meta http-equiv=refresh content=0;url=javascript:{}>",
    "<marquee onstart={}>",
    "<b onmouseover={}>b</b>",
    "<x contenteditable onblur={}>",
    "<!--<img src='--><img src=x onerror={}>",
    "<a/href=javascript&colon;{}>",
    "&lt;script&gt;{}&lt;/script&gt;",
    "%3Cscript%3E{}%3C/script%3E",
]
_OTHERS = [
    "__proto__", "constructor", "toString", "hasOwnProperty", "null", "undefined", "NaN", "true", "[object Object]",
    "../../api/admin/tokens", "//example.org/x", "https://example.org/", "?status=revoked&q=", "#main", "a b+c%20d",
    "=HYPERLINK(\"x\")", "@SUM(1+1)", "{{7*7}}", "#{7*7}", "<%= 7*7 %>", "${7*7}", "%s%s%s%n", "{0}", "'; DROP TABLE x; --",
    "\u202egnp.exe", "\u200b\u200bhidden", "ｆｕｌｌｗｉｄｔｈ＜ｓｃｒｉｐｔ＞", "Ω≈ç√∫˜µ≤≥÷", "مرحبا", "שלום", "👩‍👩‍👧‍👦🏳️‍🌈", "e" + "\u0301" * 40,
    "W" * 80, "<" * 80, "&" * 80, "\"" * 80, "'" * 80, "\\" * 80, "-" * 80, "&amp;&lt;&#x27;",
    "a\u2028b", "\ufeffmark", "\U0001f4a9", "<\u0000".replace("\u0000", " "), "on=on onerror=1",
]  # fmt: skip


def hostile() -> list[str]:
    """Distinct strings, each short enough for a name."""
    made = [around.replace("{}", call) for call in _CALLS for around in _AROUND]
    return list(dict.fromkeys(text[:80].strip() for text in [*_OTHERS, *made]))[:200]
