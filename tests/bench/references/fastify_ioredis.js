// Reference: Fastify and ioredis, all commands of one turn of the event loop in one write; answers by schema. As little
// as does each job: secrets stand in Redis as they are, nobody is asked who may create, nothing is counted or logged.
// BENCH_MODULES is the folder in which npm installed the packages.
const { randomBytes } = require("node:crypto");
const { createRequire } = require("node:module");
const load = createRequire(process.env.BENCH_MODULES + "/");
const fastify = load("fastify")({ logger: false });
const { Redis } = load("ioredis");
const { RateLimiterRedis } = load("rate-limiter-flexible");
const store = new Redis(process.env.BENCH_REDIS_URL, { enableAutoPipelining: true });
const limiter = new RateLimiterRedis({ storeClient: store, keyPrefix: "ref:limit", points: 1_000_000, duration: 1 });

const text = { type: "string" };
const object = (properties) => ({ type: "object", properties });
const answers = (status, properties) => ({ schema: { response: { [status]: object(properties) } } });
const answersSession = answers(200, { valid: { type: "boolean" }, expiry_time: { type: "integer" } });
const answersIssued = answers(200, { status: text, token: text, expiry_time: text });
const created = { id: text, name: text, token: text, createdAt: text, expiresAt: text, createdBy: text, status: text };
const answersCreated = answers(201, { message: text, token: object({ ...created, isActive: { type: "boolean" } }) });

const bearer = (request) => (request.headers.authorization ?? "").replace(/^Bearer /, "");
const active = (record) => {
  const parsed = record && JSON.parse(record);
  return parsed?.active ? parsed : null;
};

fastify.get("/validate", async (request, reply) => {
  const record = await store.get("ref:" + bearer(request));
  return reply.code(active(record) ? 200 : 401).send();
});

fastify.get("/limited", async (request, reply) => {
  const token = bearer(request);
  try {
    const [record] = await Promise.all([store.get("ref:" + token), limiter.consume(token)]);
    return reply.code(active(record) ? 200 : 401).send();
  } catch (refusal) {
    if (refusal instanceof Error) throw refusal;
    return reply.code(429).send();
  }
});

fastify.get("/api/token", answersSession, async (request, reply) => {
  const session = active(await store.get("ref:" + request.query.token));
  if (session === null) return reply.code(401).send();
  return { valid: true, expiry_time: session.exp };
});

fastify.get("/issue", answersIssued, async () => {
  const token = randomBytes(16).toString("hex");
  const end = new Date(Date.now() + 300_000).toISOString();
  await store.set("ref:once:" + token, '{"scopes":[]}', "EX", 300);
  return { status: "success", token, expiry_time: end.slice(0, 10) + " " + end.slice(11, 19) };
});

fastify.get("/spend", async (request, reply) => {
  const record = await store.getdel("ref:once:" + request.headers["x-token"]);
  return reply.code(record === null ? 401 : 200).send();
});

fastify.post("/create", answersCreated, async (request, reply) => {
  const { name, duration } = request.body;
  const token = "rtk_" + randomBytes(32).toString("hex");
  const id = randomBytes(8).toString("hex");
  const now = Date.now();
  const seconds = parseInt(duration, 10) * 86_400;
  const createdAt = new Date(now).toISOString();
  const expiresAt = new Date(now + seconds * 1000).toISOString();
  const record = { id, name, createdAt, expiresAt, createdBy: "admin", active: true };
  const stored = store.set("ref:" + token, JSON.stringify(record), "EX", seconds);
  await Promise.all([stored, store.zadd("ref:index", now, id)]);
  reply.code(201);
  const made = { id, name, token, createdAt, expiresAt, createdBy: "admin", status: "active", isActive: true };
  return { message: "API token created successfully", token: made };
});

fastify.listen({ host: "127.0.0.1", port: Number(process.env.BENCH_PORT) });
