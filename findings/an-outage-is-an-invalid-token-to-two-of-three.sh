#!/usr/bin/env bash
# The introspection endpoint is down and answers 503, and three resource servers that ask it answer a client whose token
# is good: mod_auth_openidc 2.4.12.3 under Apache 2.4.71, both as in Debian 12, and django-oauth-toolkit 3.4.1 with
# Django REST framework 3.18.3 say 401, error="invalid_token", which in RFC 6750, 3.1 is the client's cue to get a new
# token; Spring Security 6.5.5 lets an AuthenticationServiceException out. A minute of outage behind the first two has
# every client throw its token away, and the issuer comes back to all of them asking at once.
set -eu
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
debian="libapache2-mod-auth-openidc=2.4.12.3-2+deb12u5 apache2-bin=2.4.71-1~deb12u1 libapr1=1.7.2-3+deb12u1 \
libaprutil1=1.6.3-1+deb12u1 libcjose0=0.6.2.1-1+deb12u2 libhiredis0.14=0.14.1-3"
{ apt-get download -qq $debian || { apt-get -qq update && apt-get download -qq $debian; }; } > /dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check django-oauth-toolkit==3.4.1 djangorestframework==3.18.3 \
  Django==5.2.19 requests==2.34.2
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <properties>
    <security>6.5.5</security>
    <spring>6.2.10</spring>
  </properties>
  <dependencies>
    <dependency><groupId>org.springframework.security</groupId>
      <artifactId>spring-security-oauth2-resource-server</artifactId><version>${security}</version></dependency>
    <dependency><groupId>org.springframework</groupId>
      <artifactId>spring-webmvc</artifactId><version>${spring}</version></dependency>
    <dependency><groupId>org.springframework</groupId>
      <artifactId>spring-test</artifactId><version>${spring}</version></dependency>
    <dependency><groupId>jakarta.servlet</groupId>
      <artifactId>jakarta.servlet-api</artifactId><version>6.1.0</version></dependency>
    <dependency><groupId>com.fasterxml.jackson.core</groupId>
      <artifactId>jackson-databind</artifactId><version>2.19.2</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > maven.log 2>&1
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 2 -subj /CN=127.0.0.1 2> /dev/null
cat > issuer.py <<'PYTHON'
import json
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Issuer(BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if asked["token"] == ["during-the-outage"]:
            self.answer(503, b'{"status": 503, "title": "Service Unavailable"}')
        else:
            token = {"active": True, "sub": "user", "username": "user", "exp": 4102444800}
            self.answer(200, json.dumps(token).encode())

    def do_GET(self):
        self.answer(200, b"{}")

plain = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
secure = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=plain.serve_forever, daemon=True).start()
print(plain.server_port, secure.server_port, flush=True)
secure.serve_forever()
PYTHON
python3 issuer.py > ports 2> /dev/null & children="$children $!"
until test -s ports; do sleep 0.1; done
read -r plain secure < ports
modules=usr/lib/apache2/modules
cat > apache.conf <<APACHE
ServerRoot $folder
ServerName gateway.example
PidFile apache.pid
ErrorLog apache.log
DefaultRuntimeDir $folder
Listen 127.0.0.1:\${PORT}
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authn_core_module $modules/mod_authn_core.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule authz_user_module $modules/mod_authz_user.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so
LoadModule auth_openidc_module $modules/mod_auth_openidc.so
OIDCCryptoPassphrase passphrase
OIDCOAuthIntrospectionEndpoint https://127.0.0.1:$secure/introspect
OIDCOAuthSSLValidateServer Off
OIDCOAuthClientID gateway
OIDCOAuthClientSecret secret
OIDCOAuthRemoteUserClaim sub
<Location />
  AuthType oauth20
  Require valid-user
  ProxyPass http://127.0.0.1:$plain/
</Location>
APACHE
for _ in $(seq 20); do
  PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export PORT
  LD_LIBRARY_PATH=$folder/usr/lib/$(uname -m)-linux-gnu usr/sbin/apache2 -f "$folder/apache.conf" -D FOREGROUND \
    > apache.out 2>&1 & apache=$!
  for _ in $(seq 100); do test -s apache.pid && break 2; kill -0 $apache 2> /dev/null || break; sleep 0.1; done
done
children="$children $apache"
for _ in $(seq 100); do curl --silent --output page "http://127.0.0.1:$PORT/" && break; sleep 0.1; done
cat > django_server.py <<'PYTHON'
import logging
import sys

import django
from django.conf import settings
from django.core.management import call_command

logging.disable()
settings.configure(
    SECRET_KEY="secret",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="django_server",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider", "rest_framework"],
    OAUTH2_PROVIDER={
        "RESOURCE_SERVER_INTROSPECTION_URL": f"http://127.0.0.1:{sys.argv[1]}/introspect",
        "RESOURCE_SERVER_INTROSPECTION_CREDENTIALS": ("gateway", "secret"),
    },
)
django.setup()
from django.test import Client
from django.urls import path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

@api_view()
@authentication_classes([OAuth2Authentication])
@permission_classes([IsAuthenticated])
def orders(request):
    return Response({})

urlpatterns = [path("", orders)]
if __name__ == "__main__":
    sys.modules["django_server"] = sys.modules["__main__"]
    call_command("migrate", verbosity=0)
    for token in ("before", "during-the-outage"):
        answer = Client().get("/", headers={"authorization": f"Bearer {token}"})
        challenge = ", invalid_token" if 'error="invalid_token"' in answer.get("WWW-Authenticate", "") else ""
        print(f"django-oauth-toolkit {token}: {answer.status_code}{challenge}")
PYTHON
cat > Spring.java <<'JAVA'
import org.springframework.mock.web.MockFilterChain;
import org.springframework.mock.web.MockHttpServletRequest;
import org.springframework.mock.web.MockHttpServletResponse;
import org.springframework.security.authentication.ProviderManager;
import org.springframework.security.oauth2.server.resource.authentication.OpaqueTokenAuthenticationProvider;
import org.springframework.security.oauth2.server.resource.introspection.SpringOpaqueTokenIntrospector;
import org.springframework.security.oauth2.server.resource.web.authentication.BearerTokenAuthenticationFilter;

public class Spring {
  public static void main(String[] arguments) throws Exception {
    var introspector = SpringOpaqueTokenIntrospector.withIntrospectionUri(arguments[0])
        .clientId("gateway").clientSecret("secret").build();
    var filter = new BearerTokenAuthenticationFilter(
        new ProviderManager(new OpaqueTokenAuthenticationProvider(introspector)));
    for (String token : new String[] {"before", "during-the-outage"}) {
      var request = new MockHttpServletRequest("GET", "/");
      request.addHeader("Authorization", "Bearer " + token);
      var response = new MockHttpServletResponse();
      try {
        filter.doFilter(request, response, new MockFilterChain());
        System.out.println("Spring Security " + token + ": " + response.getStatus());
      } catch (Exception error) {
        System.out.println("Spring Security " + token + ": " + error.getClass().getSimpleName());
      }
    }
  }
}
JAVA
{
  for token in before during-the-outage; do
    curl --silent --max-time 20 --dump-header fields --output page \
      --header "Authorization: Bearer $token" "http://127.0.0.1:$PORT/"
    status=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' fields)
    echo "mod_auth_openidc $token: $status$(sed -n 's/.*error="\(invalid_token\)".*/, \1/p' fields)"
  done
  venv/bin/python -W ignore django_server.py "$plain"
  java -cp 'jars/*' Spring.java "http://127.0.0.1:$plain/introspect" 2> java.log
} > seen
cat seen
test "$(cat seen)" = "mod_auth_openidc before: 200
mod_auth_openidc during-the-outage: 401, invalid_token
django-oauth-toolkit before: 200
django-oauth-toolkit during-the-outage: 401, invalid_token
Spring Security before: 200
Spring Security during-the-outage: AuthenticationServiceException"
