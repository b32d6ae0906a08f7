#!/usr/bin/env bash
# openapi-typescript 7.13.0 on OpenAPI 3.1, whose schemas are JSON Schema 2020-12 where keywords beside $ref count: of
# what stands beside it a description and deprecated are taken over, properties, required and type are dropped without
# a word. {"$ref": Base, "required": ["team"], ...} becomes Base; the same inside allOf becomes Base and a team. The
# client compiles and sends what the API refuses.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund openapi-typescript@7.13.0 typescript@5.9.3 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import openapiTS, { astToString } from "openapi-typescript";

const base = { $ref: "#/components/schemas/Base" };
const more = { required: ["team"], properties: { team: { type: "string" } }, deprecated: true };
const schemas = {
  Base: { type: "object", required: ["id"], properties: { id: { type: "string" } } },
  Beside: { ...base, ...more },
  Within: { allOf: [base], ...more },
};
const text = astToString(await openapiTS(
  { openapi: "3.1.0", info: { title: "finding", version: "1" }, paths: {}, components: { schemas } },
));
for (const name of ["Beside", "Within"]) {
  const [, comment, type] = text.match(new RegExp(`(/\\*\\*[^/]*\\*/)?\\s*${name}: ([^;]*(?:; *\\n?\\s*})?[^;]*);`));
  const marked = comment?.includes("@deprecated") ? "deprecated" : "nothing";
  console.log(`${name}: ${type.replace(/\s+/g, " ")}, marked ${marked}`);
}
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "Beside: components[\"schemas\"][\"Base\"], marked deprecated
Within: { team: string; } & components[\"schemas\"][\"Base\"], marked deprecated"
