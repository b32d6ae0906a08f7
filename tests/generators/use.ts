// Five operations through openapi-fetch with the types that openapi-typescript made.

import createClient from "openapi-fetch";

import type { paths } from "./api.js";

const [url, password] = process.argv.slice(2);
const client = (token: string) =>
  createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

function given<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const { token: session } = given(
  await client("").POST("/api/token", { body: { username: "admin", password } }));
const admin = client(session);
const { token } = given(await admin.POST("/api/admin/tokens", {
  body: { name: "typescript", duration: "1month", scopes: ["orders:read"] } }));
const { tokens } = given(await admin.GET("/api/admin/tokens", {
  params: { query: { status: "active", q: "typescript", limit: 5 } } }));
const holder = client(token.token);
const before = await holder.GET("/validate", { params: { query: { required_scope: ["orders:read"] } } });
const filter = { q: "typescript", status: "active" };
const found = given(await admin.POST("/api/admin/tokens/revoke", { body: { filter, dryRun: true } }));
if (!("matched" in found)) throw new Error("no dry run");
const ended = given(await admin.POST("/api/admin/tokens/revoke", { body: { filter, expected: found.matched } }));
if (!("updated" in ended)) throw new Error("nothing ended");
const after = await holder.GET("/validate");
console.log(tokens.length, before.response.status, found.matched, ended.updated.length, after.response.status);
