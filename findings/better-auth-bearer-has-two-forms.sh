#!/usr/bin/env bash
# better-auth 1.7.25 with its bearer plugin: a sign-in answers the session token in the field set-auth-token as
# <token>.<signature>, and in the body as <token> alone; Authorization: Bearer takes both, the second without any
# signature. The database holds <token>: whoever moves such sessions elsewhere must expect two spellings of one
# credential.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund better-auth@1.7.25 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { bearer } from "better-auth/plugins";

const rows = { user: [], session: [], account: [], verification: [] };
const auth = betterAuth({
  database: memoryAdapter(rows), secret: "a secret of this finding, long enough", baseURL: "http://localhost",
  emailAndPassword: { enabled: true }, plugins: [bearer()], logger: { disabled: true }, telemetry: { enabled: false },
});
const post = (path, body) => auth.handler(new Request("http://localhost/api/auth" + path, {
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
}));
const answer = await post("/sign-up/email", { email: "ada@example.com", password: "twelve letters", name: "Ada" });
const signed = decodeURIComponent(answer.headers.get("set-auth-token"));
const { token } = await answer.json();
const who = async (secret) => {
  const headers = new Headers({ authorization: `Bearer ${secret}` });
  return (await auth.api.getSession({ headers }))?.user.name;
};
const hasSignature = signed.startsWith(token + ".") && signed.length > token.length + 1;
console.log("the header's is the body's and a signature:", hasSignature);
console.log("stored is the body's:", rows.session[0].token === token);
const nobody = await who("x".repeat(token.length));
console.log("signed:", await who(signed), "- bare:", await who(token), "- of nobody:", nobody);
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "the header's is the body's and a signature: true
stored is the body's: true
signed: Ada - bare: Ada - of nobody: undefined"
