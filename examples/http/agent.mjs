// An agent in JavaScript: repeats what is said. With a secret it answers nobody else.
//
// CHIMEIN_AGENT_SECRET=whsec_… node examples/http/agent.mjs 9000
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = Buffer.from((process.env.CHIMEIN_AGENT_SECRET ?? "").replace("whsec_", ""), "base64");

function isSigned(headers, body) {
  const sent = headers["webhook-timestamp"] ?? "";
  if (!(Math.abs(Date.now() / 1000 - Number(sent)) <= 300)) return false;
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${sent}.`), body]);
  const wanted = createHmac("sha256", secret).update(signed).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => {
    const given = Buffer.from(one.replace("v1,", ""), "base64");
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

// The same turn may come again: turn.id stays the same.
async function answer(turn) {
  return turn.messages.map((message) => `You said: ${message.body}`);
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  if (secret.length > 0 && !isSigned(request.headers, body)) {
    return response.writeHead(401).end();
  }
  const replies = await answer(JSON.parse(body));
  if (replies.length === 0) return response.writeHead(204).end();
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ replies }));
}).listen(Number(process.argv[2]), "127.0.0.1");
