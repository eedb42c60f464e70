// Two ways for a hapi route to know who asks: `session` asks Ostracon, `signature` looks at the token alone.

import * as Boom from '@hapi/boom';
import { createLocalJWKSet, errors, jwtVerify } from 'jose';

import { Unavailable } from './ostracon.js';

/** Registers both strategies. `cookie` is the name of the access cookie. */
export const plugin = {
  name: 'ostracon',
  async register(server, { ostracon, cookie, issuer, audience }) {
    const keys = await keptKeys(ostracon);

    server.auth.scheme('ostracon', () => ({
      // The denylist is asked. No answer is 503: never a pass, and never a 401 that would have the browser drop the session.
      async authenticate(request, h) {
        refuseForeignPages(request);
        const { scope, tier } = request.route.settings.plugins.ostracon ?? {};
        const who = await ostracon.verify(request.headers, { ...(scope && { scope }), ...(tier && { tier }) });
        if (who.refused === 401) throw Boom.unauthorized(null, who.challenge ?? 'Bearer');
        if (who.refused === 403) throw Boom.forbidden(who.code);
        if (who.refused) throw new Unavailable(`verify is answered with ${who.refused}`);
        return h.authenticated({ credentials: who });
      },
    }));

    server.auth.scheme('signature', () => ({
      // Signature, expiry, audience: a logout is not seen until the token has run out, a few minutes later. For what is
      // worth no more than that; it goes on while Ostracon is down.
      async authenticate(request, h) {
        refuseForeignPages(request);
        const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? request.state[cookie];
        if (typeof token !== 'string') throw Boom.unauthorized(null, 'Bearer');
        const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' }).catch(() => {
          throw Boom.unauthorized(null, 'Bearer error="invalid_token"');
        });
        return h.authenticated({ credentials: { sub: payload.sub, sid: payload.sid, scope: payload.scope?.split(' ') ?? [] } });
      },
    }));

    server.auth.strategy('session', 'ostracon');
    server.auth.strategy('signature', 'signature');

    server.ext('onPreResponse', ({ response }, h) => {
      if (!(response instanceof Unavailable)) return h.continue;
      server.log('ostracon', response.message);
      return h.response({ statusCode: 503, error: 'Service Unavailable' }).code(503).header('retry-after', '1');
    });
  },
};

/** A cookie is sent whatever page asks for it (SameSite aside): what changes something must come from our own. */
function refuseForeignPages(request) {
  const safe = ['get', 'head', 'options'].includes(request.method);
  if (safe || request.headers.authorization) return;
  if (request.headers['sec-fetch-site'] !== 'same-origin') throw Boom.forbidden('csrf_refused');
}

/** The keys as they were last read. A token of a key that is not among them has them read again, at most once a minute. */
async function keptKeys(ostracon) {
  let keys = createLocalJWKSet(await ostracon.keys());
  let readAt = Date.now();
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || Date.now() - readAt < 60_000) throw error;
      readAt = Date.now();
      keys = createLocalJWKSet(await ostracon.keys());
      return keys(header, token);
    }
  };
}
