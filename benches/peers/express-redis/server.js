// Another answer that many know: Express with express-jwt, whose `isRevoked` asks Redis.
// Says where it listens, and ends with its input.

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

import express from 'express';
import { expressjwt } from 'express-jwt';
import { createClient } from 'redis';

const { SECRET_FILE, REDIS_URL, CLIENT } = process.env;
const redis = await createClient({ url: REDIS_URL }).connect();

const app = express();
app.disable('x-powered-by');
app.set('etag', false);
const hash = (text) => createHash('sha256').update(text).digest();
const known = hash(`Basic ${CLIENT}`);
app.post('/v1/revocations', express.json(), async (request, response) => {
  if (!timingSafeEqual(hash(request.headers.authorization ?? ''), known)) return response.status(401).end();
  const { target, exp, reason } = request.body;
  const lives = exp - Math.floor(Date.now() / 1000);
  if (typeof target?.jti !== 'string' || !(lives > 0)) return response.status(422).end();
  await redis.set(`blacklist:${target.jti}`, '1', { EX: lives });
  response.status(201).json({ target, exp, reason, durable: true });
});
app.use(
  expressjwt({
    secret: readFileSync(SECRET_FILE),
    algorithms: ['HS256'],
    issuer: 'https://auth.example',
    audience: 'shop',
    clockTolerance: 30,
    async isRevoked(request) {
      const token = request.headers.authorization.slice('Bearer '.length);
      return (await redis.get(`blacklist:${token}`)) !== null;
    },
  }),
);
app.get('/auth/verify', (request, response) => {
  const { sub, sid, client_id, scope, jti, exp } = request.auth;
  response
    .set({
      'cache-control': 'no-store',
      'x-auth-subject': sub,
      'x-auth-session': sid,
      'x-auth-client': client_id,
      'x-auth-scope': scope,
      'x-auth-token-id': jti,
      'x-auth-expires': String(exp),
    })
    .end();
});
app.use((error, request, response, next) => {
  response.status(error.status ?? 500).end();
});

const server = app.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
process.stdin.on('end', () => process.exit()).resume();
