#!/usr/bin/env bash
# Caddy 2.6.2, as Debian 12 ships it: `forward_auth` with `copy_headers X-User X-Team`. Where the authorizer's 200 has
# no X-Team, the application behind gets the literal text of Caddy's own placeholder as that field's value, not an
# absent or empty field: an application that takes any non-empty team for one has a team named
# {http.reverse_proxy.header...}.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
fetch="apt-get download -qq caddy=2.6.2-5"
{ $fetch || { apt-get -qq update && $fetch; }; } > /dev/null 2>&1
dpkg -x caddy_*.deb .
cat > servers.py <<'PYTHON'
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Authorizer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-User", "ada")
        self.send_header("Content-Length", "0")
        self.end_headers()

class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        body = "".join(f"{name}: {self.headers.get(name)}\n" for name in ("X-User", "X-Team")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Socket(HTTPServer):
    def server_bind(self):
        super().server_bind()
        open(sys.argv[1] + ".port", "w").write(str(self.server_port))

Socket(("127.0.0.1", 0), {"authorizer": Authorizer, "application": Application}[sys.argv[1]]).serve_forever()
PYTHON
for name in authorizer application; do
  python3 servers.py "$name" 2> /dev/null & children="$children $!"
  until test -s "$name.port"; do sleep 0.1; done
done
cat > Caddyfile <<CADDY
{
  admin off
  auto_https off
}
:0 {
  bind unix/$folder/caddy.sock
  forward_auth 127.0.0.1:$(cat authorizer.port) {
    uri /
    copy_headers X-User X-Team
  }
  reverse_proxy 127.0.0.1:$(cat application.port)
}
CADDY
HOME="$folder" usr/bin/caddy run --config Caddyfile --adapter caddyfile > caddy.log 2>&1 & children="$children $!"
for _ in $(seq 100); do test -S caddy.sock && break; sleep 0.1; done
seen=$(curl --silent --show-error --unix-socket caddy.sock http://localhost/)
echo "$seen"
test "$seen" = "X-User: ada
X-Team: {http.reverse_proxy.header.X-Team}"
