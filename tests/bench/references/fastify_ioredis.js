// Reference: Fastify and ioredis, all GETs of one turn of the event loop in one write.
// BENCH_MODULES is the folder in which npm installed both packages.
const { createRequire } = require("node:module");
const load = createRequire(process.env.BENCH_MODULES + "/");
const fastify = load("fastify")({ logger: false });
const ioredis = load("ioredis");
const Redis = ioredis.Redis ?? ioredis;
const store = new Redis(process.env.BENCH_REDIS_URL, { enableAutoPipelining: true });

fastify.get("/validate", async (request, reply) => {
  const header = request.headers.authorization ?? "";
  const record = await store.get("ref:" + header.replace(/^Bearer /, ""));
  const active = record !== null && JSON.parse(record).active;
  return reply.code(active ? 200 : 401).send();
});

fastify.listen({ host: "127.0.0.1", port: Number(process.env.BENCH_PORT) });
