"""A small application for each file of deploy/clients/: `/` with the check, `/orders/` with a scope, echoing the caller.

Where it can be said they are patient: a machine that is busy elsewhere makes no answer unknown.
Each answers every request that passes with {"token": the caller, "spoofed": whether a client's word arrived}.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.api.running import ROOT
from tests.gateway.child import Gateway
from tests.ports import held_port

CLIENTS = ROOT / "deploy" / "clients"
DEBIANS_MODULES = "/usr/share/nodejs"
FASTIFY = ROOT / ".bench" / "fastify" / "node_modules"
JARS = [Path("/usr/share/java", f"{name}.jar") for name in ("tomcat10-embed-core", "jakarta-annotation-api")]
BUILD_SECONDS = 120

ASGI = """from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.middleware import Middleware
from asgi import TokenCheck

async def echo(request):
    return JSONResponse({"token": request.state.token, "spoofed": "spoof" in str(request.headers)})

routes = [Route("/", echo)]
check = [Middleware(TokenCheck, url="$URL", connect_seconds=20, answer_seconds=20)]
orders = TokenCheck(Starlette(routes=routes), url="$URL", connect_seconds=20, answer_seconds=20, scopes=["orders:read"])
app = Starlette(routes=[Mount("/orders", orders), Mount("/", Starlette(routes=routes, middleware=check))])
"""
WSGI = """import socketserver
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgi import TokenCheck

class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass

def serve(application):
    patient = {"url": "$URL", "connect_seconds": 20, "answer_seconds": 20}
    plain, orders = TokenCheck(application, **patient), TokenCheck(application, **patient, scopes=["orders:read"])
    def choose(environ, start_response):
        return (orders if environ["PATH_INFO"].startswith("/orders/") else plain)(environ, start_response)
    make_server("127.0.0.1", $PORT, choose, server_class=Server, handler_class=Quiet).serve_forever()

def echoed(environ):
    spoofed = "spoof" in str([value for name, value in environ.items() if name.startswith(("HTTP_", "REMOTE_"))])
    assert environ.get("REMOTE_USER", "-") == environ["token"]["subject"]
    return {"token": environ["token"], "spoofed": spoofed}
"""
FLASK = """from flask import Flask, request
from serving import echoed, serve

app = Flask("app")

@app.route("/", defaults={"path": ""})
@app.route("/<path:path>")
def echo(path):
    return echoed(request.environ)

serve(app.wsgi_app)
"""
DJANGO = """from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", SECRET_KEY="x")
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import re_path
from serving import echoed, serve

urlpatterns = [re_path("", lambda request: JsonResponse(echoed(request.META)))]
serve(get_wsgi_application())
"""
EXPRESS = r"""const app = require("express")();
const { express } = require("./node.cjs");
const said = ({ headers, headersDistinct, rawHeaders }) => JSON.stringify([headers, headersDistinct, rawHeaders]);
const echo = (request, response) =>
  response.json({ token: request.token, spoofed: said(request).includes("spoof") });
app.get(/^\/orders\//, express({ url: "$URL", seconds: 20, scopes: ["orders:read"] }), echo);
app.get("/", express({ url: "$URL", seconds: 20 }), echo);
app.listen($PORT, "127.0.0.1");
"""
FASTIFY_PROGRAM = """const app = require("fastify")();
const check = require("./node.cjs").fastify;
const said = ({ headers, headersDistinct, rawHeaders }) => JSON.stringify([headers, headersDistinct, rawHeaders]);
const echo = async (request) =>
  ({ token: request.token, spoofed: said(request.raw).includes("spoof") });
app.get("/orders/*", { onRequest: check({ url: "$URL", seconds: 20, scopes: ["orders:read"] }) }, echo);
app.get("/", { onRequest: check({ url: "$URL", seconds: 20 }) }, echo);
app.listen({ port: $PORT, host: "127.0.0.1" });
"""
GO = """package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"example.com/app/tokencheck"
)

func echo(w http.ResponseWriter, r *http.Request) {
	t := tokencheck.Of(r)
	token := map[string]any{"id": t.ID, "subject": t.Subject, "kind": t.Kind, "name": t.Name, "scopes": t.Scopes}
	json.NewEncoder(w).Encode(map[string]any{"token": token, "spoofed": strings.Contains(fmt.Sprint(r.Header), "spoof")})
}

func main() {
	http.Handle("/orders/", tokencheck.New("$URL", "orders:read")(http.HandlerFunc(echo)))
	http.Handle("/", tokencheck.New("$URL")(http.HandlerFunc(echo)))
	panic(http.ListenAndServe("127.0.0.1:$PORT", nil))
}
"""
JAVA = """import jakarta.servlet.http.*;
import java.io.IOException;
import java.util.*;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.*;

class Main {
    static class Echo extends HttpServlet {
        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            var token = (TokenFilter.Token) request.getAttribute("token");
            var said = new StringBuilder(request.getHeader("Remote-User") + request.getHeader("X-Token-Id"));
            for (String name : Collections.list(request.getHeaderNames())) said.append(request.getHeader(name));
            // What a client says there is neither, and an exception to whoever asks for one.
            said.append(request.getIntHeader("X-Token-Id")).append(request.getDateHeader("X-Token-Id"));
            response.getWriter().printf(
                "{\\"token\\": {\\"id\\": \\"%s\\", \\"subject\\": \\"%s\\", \\"kind\\": \\"%s\\", \\"name\\": \\"%s\\","
                + " \\"scopes\\": [%s]}, \\"spoofed\\": %s}",
                token.id(), Objects.requireNonNullElse(request.getRemoteUser(), "-"), token.kind(), token.name(),
                String.join(",", token.scopes().stream().map(scope -> '"' + scope + '"').toList()),
                said.indexOf("spoof") >= 0);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir("tomcat");
        tomcat.setPort($PORT);
        var context = tomcat.addContext("", null);
        filter(context, "orders", "/orders/*", new TokenFilter("$URL", "orders:read"));
        filter(context, "all", "", new TokenFilter("$URL"));
        Tomcat.addServlet(context, "echo", new Echo());
        context.addServletMappingDecoded("/", "echo");
        context.addServletMappingDecoded("", "echo");
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        tomcat.start();
        tomcat.getServer().await();
    }

    static void filter(org.apache.catalina.Context context, String name, String path, TokenFilter filter) {
        FilterDef definition = new FilterDef();
        definition.setFilterName(name);
        definition.setFilter(filter);
        context.addFilterDef(definition);
        FilterMap map = new FilterMap();
        map.setFilterName(name);
        map.addURLPatternDecoded(path);
        context.addFilterMap(map);
    }
}
"""


def _texts(url: str, port: int, shipped: str, programs: dict[str, str]) -> dict[str, str]:
    own = {name: text.replace("$URL", url).replace("$PORT", str(port)) for name, text in programs.items()}
    return own | {shipped: (CLIENTS / shipped).read_text()}


def asgi(url: str, _: Path) -> Gateway:
    port = held_port()
    texts = _texts(url, port, "asgi.py", {"program.py": ASGI})
    return Gateway(sys.executable, port, texts, "-m", "uvicorn", "program:app", "--port", str(port))


def _wsgi(url: str, program: str) -> Gateway:
    port = held_port()
    texts = _texts(url, port, "wsgi.py", {"program.py": program, "serving.py": WSGI})
    return Gateway(sys.executable, port, texts, "program.py")


def flask(url: str, _: Path) -> Gateway:
    return _wsgi(url, FLASK)


def django(url: str, _: Path) -> Gateway:
    return _wsgi(url, DJANGO)


def _node(url: str, program: str, modules: str) -> Gateway:
    port = held_port()
    return Gateway(
        "node", port, _texts(url, port, "node.cjs", {"program.cjs": program}), "program.cjs", NODE_PATH=modules
    )


def express(url: str, _: Path) -> Gateway:
    return _node(url, EXPRESS, DEBIANS_MODULES)


def fastify(url: str, _: Path) -> Gateway:
    return _node(url, FASTIFY_PROGRAM, str(FASTIFY))


def go(url: str, folder: Path) -> Gateway:
    port = held_port()
    (folder / "tokencheck").mkdir()
    (folder / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
    (folder / "main.go").write_text(GO.replace("$URL", url).replace("$PORT", str(port)))
    shutil.copy(CLIENTS / "tokencheck.go", folder / "tokencheck")
    subprocess.run(["go", "build", "-o", "program", "."], cwd=folder, check=True, timeout=BUILD_SECONDS)
    return Gateway(str(folder / "program"), port, {})


def java(url: str, folder: Path) -> Gateway:
    port = held_port()
    texts = _texts(url, port, "TokenFilter.java", {"Main.java": JAVA})
    for name, text in texts.items():
        (folder / name).write_text(text)
    jars = ":".join(map(str, [folder, *JARS]))
    subprocess.run(["javac", "-cp", jars, *texts], cwd=folder, check=True, timeout=BUILD_SECONDS)
    # In Turkish, where an I is no i in small letters.
    return Gateway(
        "java", port, {}, "-Duser.language=tr", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", jars, "Main"
    )


STARTS: dict[str, Callable[[str, Path], Gateway]] = {
    start.__name__: start for start in (asgi, flask, django, express, fastify, go, java)
}


def missing(name: str) -> str:
    """Why a program cannot run here; empty where it can."""
    if name == "fastify" and not (FASTIFY / "fastify").exists():
        return "Fastify is no package of Debian's; make bench installs it"
    if name == "java" and (shutil.which("javac") is None or not all(jar.exists() for jar in JARS)):
        return "a JDK, libtomcat10-embed-java and libjakarta-annotation-api-java (Debian) are not installed"
    if name == "go":
        if shutil.which("go") is None:
            return "Go is not installed"
        stale = subprocess.run(["go", "list", "-f", "{{.Stale}}", "net/http"], capture_output=True, text=True)
        if stale.stdout.strip() != "false":
            return "Go has never compiled its net/http here, which takes most of a minute: go build net/http"
    return ""
