// Signs somebody up with better-auth in a PostgreSQL, and prints as JSON, by the system's name, what clients send: an
// API key, and a session in the form that the bearer plugin hands out. Arguments: a folder of modules, the database.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, url] = process.argv.slice(2);
const { resolve } = createRequire(join(folder, "package.json"));
const load = (name) => import(pathToFileURL(resolve(name)));
const [{ betterAuth }, { getMigrations }, { bearer }, { apiKey }, { default: pg }] = await Promise.all(
  ["better-auth", "better-auth/db/migration", "better-auth/plugins", "@better-auth/api-key", "pg"].map(load),
);
const database = new pg.Pool({ connectionString: url });
const auth = betterAuth({
  database, secret: "a secret of a test, long enough", baseURL: "http://localhost", telemetry: { enabled: false },
  emailAndPassword: { enabled: true }, plugins: [bearer(), apiKey()], logger: { disabled: true },
});
await (await getMigrations(auth.options)).runMigrations();
const answer = await auth.handler(new Request("http://localhost/api/auth/sign-up/email", {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ email: "ada@example.com", password: "twelve letters", name: "Ada" }),
}));
const session = decodeURIComponent(answer.headers.get("set-auth-token"));
const { user } = await answer.json();
const { key } = await auth.api.createApiKey({ body: { name: "billing", userId: user.id, expiresIn: 86400 } });
await database.end();
console.log(JSON.stringify({
  "better-auth, API keys": `X-API-Key: ${key}`,
  "better-auth, sessions": `Authorization: Bearer ${session}`,
}));
