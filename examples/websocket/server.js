// An application with WebSockets that end when their session does.
//
// A WebSocket is asked about once, when it is opened; after that no proxy sees another request. So the application
// listens to Ostracon and closes the sockets of whatever is ended.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { listen } from "./events.js";
import { Sockets, identity } from "./sockets.js";

const setting = (name, usual) => process.env[name] ?? usual ?? fail(`${name} is not set`);
const fail = (why) => {
  console.error(why);
  process.exit(2);
};
const PUBLIC = setting("OSTRACON_PUBLIC", "http://127.0.0.1:8080");
const ADMIN = setting("OSTRACON_ADMIN", "http://127.0.0.1:8081");
const CLIENT = setting("OSTRACON_CLIENT", "dev"); // has the role read
const SECRET = readFileSync(setting("OSTRACON_SECRET_FILE"), "utf8").trim();
const COOKIE = setting("OSTRACON_COOKIE", "__Host-USER_SESSION");
// Pages that may open a socket with a cookie. Browsers send cookies along from any page, and no policy of theirs stops it.
const ORIGINS = setting("ORIGINS", "").split(",").filter(Boolean);

// Codes 4000 to 4999 are the application's own (RFC 6455 §7.4.2).
const ENDED = 4401;

const sockets = new Sockets();
const server = createServer((_, response) => response.writeHead(426).end());
const upgrader = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 });

server.on("upgrade", async (request, stream, head) => {
  stream.on("error", () => stream.destroy());
  const refuse = (status) => stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  const presented = credentials(request);
  if (!presented) return refuse("401 Unauthorized");
  let who;
  try {
    who = identity(presented.token);
  } catch {
    return refuse("401 Unauthorized");
  }
  // Before Ostracon is asked: what is ended after its answer and before the socket is open must not slip through.
  const opening = { ended: false };
  sockets.add(opening, who, () => (opening.ended = true));
  try {
    const verified = await fetch(`${PUBLIC}/auth/verify`, { headers: presented.headers });
    // Anything but a yes is a no; a store that cannot answer, too.
    if (verified.status !== 200) return refuse(verified.status === 401 ? "401 Unauthorized" : "503 Service Unavailable");
    if (opening.ended) return refuse("401 Unauthorized");
    upgrader.handleUpgrade(request, stream, head, (socket) => open(socket, who));
  } catch (error) {
    console.error(`Ostracon does not answer: ${error.message}`);
    refuse("503 Service Unavailable");
  } finally {
    sockets.delete(opening);
  }
});

/** The token of a request, and the header to ask about it with. */
function credentials({ headers }) {
  const bearer = /^Bearer ([\w.-]+)$/i.exec(headers.authorization ?? "");
  if (bearer) return { token: bearer[1], headers: { authorization: headers.authorization } };
  const cookie = (headers.cookie ?? "").split("; ").find((pair) => pair.startsWith(`${COOKIE}=`));
  if (!cookie || !ORIGINS.includes(headers.origin)) return undefined;
  return { token: cookie.slice(COOKIE.length + 1), headers: { cookie } };
}

function open(socket, who) {
  const close = () => socket.close(ENDED, "logged out");
  sockets.add(socket, who, close);
  // Nor does a socket outlive its token. An application that lets clients hand in a fresh one would move this.
  const expiry = setTimeout(close, Math.min(who.exp * 1000 - Date.now(), 2 ** 31 - 1));
  socket.on("close", () => {
    clearTimeout(expiry);
    sockets.delete(socket);
  });
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.send(`hello ${who.sub}`);
}

const authorization = `Basic ${Buffer.from(`${CLIENT}:${SECRET}`).toString("base64")}`;
// Nobody is let in before events are: whoever was ended in between would stay.
const begin = () =>
  server.listen(Number(setting("PORT", "3000")), "127.0.0.1", () => {
    console.log(`listening on ${server.address().port}`);
  });
listen(`${ADMIN}/v1/events`, authorization, begin, (event) => sockets.hear(event));
