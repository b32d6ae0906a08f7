#!/usr/bin/env bash
# A user grants "read write". For one job the client refreshes with scope=read, as RFC 6749, 6 lets it ask for less; by
# the same section the refresh token that comes with the answer has the scope of the one before, and a refresh without a
# scope means all that the user granted. oidc-provider 9.13.3 and Spring Authorization Server 1.5.2 give "read write"
# from then on. django-oauth-toolkit 3.4.1 and @node-oauth/oauth2-server 5.3.0 give "read" and refuse "read write" as
# invalid_scope; the first does so, too, where it is set to keep its refresh tokens, so that the very same token has
# lost what it stood for. The client was careful once, and the user has to sign in and grant it all again.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check django-oauth-toolkit==3.4.1 Django==5.2.19
npm install --silent --no-audit --no-fund @node-oauth/oauth2-server@5.3.0 oidc-provider@9.13.3 > /dev/null 2>&1
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.springframework.security</groupId>
      <artifactId>spring-security-oauth2-authorization-server</artifactId><version>1.5.2</version></dependency>
    <dependency><groupId>jakarta.servlet</groupId>
      <artifactId>jakarta.servlet-api</artifactId><version>6.1.0</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > maven.log 2>&1
cat > toolkit.py <<'PYTHON'
from datetime import timedelta

import django
from django.conf import settings
from django.urls import include, path

settings.configure(
    SECRET_KEY="k" * 50,
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "oauth2_provider"],
    OAUTH2_PROVIDER={"SCOPES": {"read": "", "write": ""}, "PKCE_REQUIRED": False},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
)
django.setup()
urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone
from oauth2_provider.models import Application, Grant

call_command("migrate", verbosity=0)
client = {"client_id": "client", "client_secret": "secret"}
callback = "https://client.example/callback"
user = User.objects.create_user("user")
application = Application.objects.create(
    **client, client_type="confidential", authorization_grant_type="authorization-code", redirect_uris=callback
)

def ask(**form):
    return Client().post("/o/token/", {**client, **form}).json()

for rotated in (True, False):
    Grant.objects.create(
        user=user,
        application=application,
        code="code",
        redirect_uri=callback,
        scope="read write",
        expires=timezone.now() + timedelta(hours=1),
    )
    with override_settings(OAUTH2_PROVIDER={**settings.OAUTH2_PROVIDER, "ROTATE_REFRESH_TOKEN": rotated}):
        answer = ask(grant_type="authorization_code", code="code", redirect_uri=callback)
        given = []
        for scope in ({"scope": "read"}, {}, {"scope": "read write"}):
            token = answer.get("refresh_token", "")
            answer = ask(grant_type="refresh_token", refresh_token=token, **scope)
            given.append(answer.get("scope") or answer["error"])
    kept = "new refresh tokens" if rotated else "one refresh token"
    print(f"django-oauth-toolkit, {kept}:", ", ".join(given))
PYTHON
cat > servers.mjs <<'NODE'
import { createServer } from "node:http";
import { once } from "node:events";
import OAuth2Server from "@node-oauth/oauth2-server";
import { Provider } from "oidc-provider";

console.info = console.warn = () => {};
const redirect = "https://client.example/callback";
const refresh = async (name, first, ask) => {
  const given = [];
  let token = first;
  for (const scope of [{ scope: "read" }, {}, { scope: "read write" }]) {
    const answer = await ask({ grant_type: "refresh_token", refresh_token: token, ...scope });
    given.push(answer.error ?? [answer.scope].flat().join(" ").replace("openid offline_access ", ""));
    token = answer.refresh_token;
  }
  console.log(`${name}: ${given.join(", ")}`);
};

const client = { id: "client", grants: ["refresh_token"], redirectUris: [redirect] };
const user = { id: "user" };
const tokens = new Map();
const server = new OAuth2Server({
  model: {
    getClient: async () => client,
    getRefreshToken: async (token) => tokens.get(token),
    revokeToken: async (token) => tokens.delete(token.refreshToken),
    saveToken: async (token) => {
      tokens.set(token.refreshToken, { ...token, client, user });
      return tokens.get(token.refreshToken);
    },
  },
});
tokens.set("first", { refreshToken: "first", client, user, scope: ["read", "write"] });
await refresh("@node-oauth/oauth2-server", "first", async (form) => {
  const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": "1" };
  const body = { client_id: "client", client_secret: "secret", ...form };
  const response = new OAuth2Server.Response({});
  try {
    await server.token(new OAuth2Server.Request({ method: "POST", query: {}, headers, body }), response);
    return response.body;
  } catch (error) {
    return { error: error.name };
  }
});

const registered = { client_id: "client", client_secret: "secret", redirect_uris: [redirect] };
const provider = new Provider("https://issuer.example", {
  clients: [{ ...registered, grant_types: ["authorization_code", "refresh_token"] }],
  scopes: ["openid", "offline_access", "read", "write"],
  findAccount: (context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  features: { devInteractions: { enabled: false } },
});
const scope = "openid offline_access read write";
const grant = new provider.Grant({ accountId: "user", clientId: "client" });
grant.addOIDCScope(scope);
const granted = { accountId: "user", client: await provider.Client.find("client"), grantId: await grant.save() };
const issued = await new provider.RefreshToken({ ...granted, scope, gty: "authorization_code" }).save();
const listener = createServer(provider.callback()).listen(0, "127.0.0.1");
await once(listener, "listening");
await refresh("oidc-provider", issued, async (form) => {
  const address = `http://127.0.0.1:${listener.address().port}/token`;
  const headers = { authorization: `Basic ${btoa("client:secret")}` };
  return (await fetch(address, { method: "POST", headers, body: new URLSearchParams(form) })).json();
});
listener.close();
listener.closeAllConnections();
NODE
cat > Spring.java <<'JAVA'
import java.security.Principal;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2AccessToken;
import org.springframework.security.oauth2.core.OAuth2RefreshToken;
import org.springframework.security.oauth2.server.authorization.InMemoryOAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.OAuth2Authorization;
import org.springframework.security.oauth2.server.authorization.authentication.*;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.context.AuthorizationServerContext;
import org.springframework.security.oauth2.server.authorization.context.AuthorizationServerContextHolder;
import org.springframework.security.oauth2.server.authorization.settings.*;
import org.springframework.security.oauth2.server.authorization.token.*;

public class Spring {
  record Context(String getIssuer, AuthorizationServerSettings getAuthorizationServerSettings)
      implements AuthorizationServerContext {}

  public static void main(String[] arguments) {
    var basic = ClientAuthenticationMethod.CLIENT_SECRET_BASIC;
    var format = OAuth2TokenFormat.REFERENCE;
    var settings = TokenSettings.builder().reuseRefreshTokens(false).accessTokenFormat(format).build();
    var client = RegisteredClient.withId("1").clientId("client").clientSecret("secret")
        .clientAuthenticationMethod(basic)
        .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
        .authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
        .redirectUri("https://client.example/callback")
        .scope("read").scope("write").tokenSettings(settings).build();
    var both = Set.of("read", "write");
    var now = Instant.now();
    var later = now.plusSeconds(3600);
    var user = new UsernamePasswordAuthenticationToken("user", null, List.of());
    var service = new InMemoryOAuth2AuthorizationService();
    service.save(OAuth2Authorization.withRegisteredClient(client).principalName("user")
        .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE).authorizedScopes(both)
        .attribute(Principal.class.getName(), user)
        .accessToken(new OAuth2AccessToken(OAuth2AccessToken.TokenType.BEARER, "access", now, later, both))
        .refreshToken(new OAuth2RefreshToken("first", now, later)).build());
    var server = AuthorizationServerSettings.builder().build();
    AuthorizationServerContextHolder.setContext(new Context("https://issuer.example", server));
    var provider = new OAuth2RefreshTokenAuthenticationProvider(service,
        new DelegatingOAuth2TokenGenerator(new OAuth2AccessTokenGenerator(), new OAuth2RefreshTokenGenerator()));
    var authenticated = new OAuth2ClientAuthenticationToken(client, basic, "secret");
    var given = new ArrayList<String>();
    String token = "first";
    for (var scopes : List.of(Set.of("read"), Set.<String>of(), both)) {
      var asked = new OAuth2RefreshTokenAuthenticationToken(token, authenticated, scopes, null);
      var answer = (OAuth2AccessTokenAuthenticationToken) provider.authenticate(asked);
      given.add(String.join(" ", new TreeSet<>(answer.getAccessToken().getScopes())));
      token = answer.getRefreshToken().getTokenValue();
    }
    System.out.println("Spring Authorization Server: " + String.join(", ", given));
  }
}
JAVA
seen=$(
  echo "refreshed for read, for no scope named, for read write"
  venv/bin/python toolkit.py
  node servers.mjs
  java -cp 'jars/*' Spring.java 2> /dev/null
)
echo "$seen"
test "$seen" = "refreshed for read, for no scope named, for read write
django-oauth-toolkit, new refresh tokens: read, read, invalid_scope
django-oauth-toolkit, one refresh token: read, read, invalid_scope
@node-oauth/oauth2-server: read, read, invalid_scope
oidc-provider: read, read write, read write
Spring Authorization Server: read, read write, read write"
