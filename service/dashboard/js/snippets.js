// How to ask this server from a gateway or a service: [name, lead, text].

import { BASE } from "./api.js";

const here = BASE;
// The reader's own application; assembled, because the scripts contain no URL.
const theirs = ["http:", "", "app"].join("/");

/** The command line for an account; the project's tests run this too. */
export const commands = (name) => `export TOKENS_URL=${here}
token-service login ${name}
token-service create checkout-api --expires 90d --scope orders:read
token-service list --status expired
token-service import tokens.ndjson`;

export const SNIPPETS = [
  ["curl", "200 and no body if the token may be used now; 401 or 403 if not.", `curl -i ${here}/validate \\
  -H "Authorization: Bearer $TOKEN"`],

  ["nginx", "200 lets the request through, 401 or 403 stops it. The token ID comes back as a header.", `location / {
    auth_request      /_token;
    auth_request_set  $token_id $upstream_http_x_token_id;
    proxy_set_header  X-Token-Id $token_id;
    proxy_pass        ${theirs};
}
location = /_token {
    internal;
    proxy_pass               ${here}/validate;
    proxy_method             HEAD;
    proxy_pass_request_body  off;
    proxy_set_header         Content-Length "";
}`],

  ["Traefik", "A middleware for the dynamic configuration.", `http:
  middlewares:
    token:
      forwardAuth:
        address: ${here}/validate
        authResponseHeaders: [X-Token-Id, X-Token-Scopes]`],

  ["Caddy", "The question mark keeps the client's query out; a client's own header is taken off first.", `example.com {
    route {
        request_header -*_*
        request_header -*.*
        request_header Connection "[^, ]*-[^, ]*" close
        request_header -X-Token*
        forward_auth ${here} {
            uri /validate?
            copy_headers X-Token-Id
        }
        reverse_proxy app:80
    }
}`],

  ["Envoy", "An HTTP filter; the cluster named tokens points at this server.", `- name: envoy.filters.http.ext_authz
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
    http_service:
      server_uri: { uri: "${here}", cluster: tokens, timeout: 0.5s }
      path_prefix: /validate/envoy
      authorization_response:
        allowed_upstream_headers: { patterns: [{ prefix: x-token- }] }`],

  ["FastAPI", "A dependency for any route: Depends(token) gives the token ID.",
    `service = httpx.AsyncClient(base_url="${here}", timeout=1)

async def token(authorization: str = Header("")) -> str:
    answer = await service.get("/validate", headers={"Authorization": authorization})
    if answer.status_code != 200:
        raise HTTPException(answer.status_code)
    return answer.headers["X-Token-Id"]`],

  ["Express", "A middleware for Express 4 and 5.", `app.use((request, response, next) => {
  fetch("${here}/validate", { headers: { Authorization: request.get("Authorization") ?? "" } })
    .then(({ status }) => (status === 200 ? next() : response.sendStatus(status)))
    .catch(next);
});`],
];
