// The usual answer: a hapi server that verifies HS256 and asks Redis whether the token was logged out.
// Says where it listens, and ends with its input.

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

import Hapi from '@hapi/hapi';
import jwt from 'jsonwebtoken';
import { createClient } from 'redis';

const { SECRET_FILE, REDIS_URL, CLIENT } = process.env;
const secret = readFileSync(SECRET_FILE);
const redis = await createClient({ url: REDIS_URL }).connect();
const expected = { algorithms: ['HS256'], issuer: 'https://auth.example', audience: 'shop', clockTolerance: 30 };

const server = Hapi.server({ host: '127.0.0.1', port: 0 });
server.auth.scheme('denylisted-jwt', () => ({
  async authenticate(request, h) {
    const token = request.headers.authorization?.slice('Bearer '.length);
    let credentials;
    try {
      credentials = jwt.verify(token, secret, expected);
    } catch {
      return h.response().code(401).takeover();
    }
    if (await redis.get(`blacklist:${token}`)) return h.response().code(401).takeover();
    return h.authenticated({ credentials });
  },
}));
server.auth.strategy('default', 'denylisted-jwt');
server.auth.default('default');
server.route({
  method: 'GET',
  path: '/auth/verify',
  handler(request, h) {
    const { sub, sid, client_id, scope, jti, exp } = request.auth.credentials;
    return h
      .response()
      .code(200)
      .header('cache-control', 'no-store')
      .header('x-auth-subject', sub)
      .header('x-auth-session', sid)
      .header('x-auth-client', client_id)
      .header('x-auth-scope', scope)
      .header('x-auth-token-id', jti)
      .header('x-auth-expires', String(exp));
  },
});

const hash = (text) => createHash('sha256').update(text).digest();
const known = hash(`Basic ${CLIENT}`);
server.route({
  method: 'POST',
  path: '/v1/revocations',
  options: { auth: false },
  async handler(request, h) {
    if (!timingSafeEqual(hash(request.headers.authorization ?? ''), known)) return h.response().code(401);
    const { target, exp, reason } = request.payload;
    const lives = exp - Math.floor(Date.now() / 1000);
    if (typeof target?.jti !== 'string' || !(lives > 0)) return h.response().code(422);
    await redis.set(`blacklist:${target.jti}`, '1', { EX: lives });
    return h.response({ target, exp, reason, durable: true }).code(201);
  },
});

await server.start();
console.log(`127.0.0.1:${server.info.port}`);
process.stdin.on('end', () => process.exit()).resume();
