// The OAuth endpoints, asked by oauth4webapi as any application would. Prints one JSON object: what each step came to.

import { webcrypto } from 'node:crypto';
import * as oauth from 'oauth4webapi';

// Node 18 has them under another name.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;

const { ISSUER, SERVER, CLIENT, CLIENT_SECRET, ACCESS, REFRESH, FOREIGN } = process.env;

// The issuer's name leads to the server under test, wherever it listens; what the issuer's path is before, a proxy would
// take away.
const reached = (url) => (url.startsWith(ISSUER) ? url.replace(ISSUER, SERVER) : url.replace(new URL(ISSUER).origin, SERVER));
const options = {
  [oauth.allowInsecureRequests]: true,
  [oauth.customFetch]: (url, init) => fetch(reached(String(url)), init),
};

const issuer = new URL(ISSUER);
const told = {};

const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options });
const as = await oauth.processDiscoveryResponse(issuer, discovered);
told.discovery = Object.keys(as).sort();

const client = { client_id: CLIENT };
// Name and secret are form-encoded before they are Basic (RFC 6749 §2.3.1).
const auth = oauth.ClientSecretBasic(CLIENT_SECRET);

const introspect = async (token, more = {}) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, { ...options, ...more }));
const refresh = async (token, more = {}) =>
  oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...options, ...more }));
const revoke = async (token, more = {}) =>
  oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token, { ...options, ...more }));

/** What a call is refused with; a challenge as the library takes it apart. */
async function refused(call) {
  try {
    return { passed: await call };
  } catch (error) {
    const challenge = Array.isArray(error.cause) ? error.cause.map(({ scheme, parameters }) => ({ scheme, ...parameters })) : undefined;
    return { name: error.constructor.name, error: error.error, status: error.status, challenge };
  }
}

/** What a resource server finds in a token, by the keys that the metadata names (RFC 9068 §4). */
async function resource(token) {
  const request = new Request('https://shop.example/', { headers: { authorization: `Bearer ${token}` } });
  const claims = await oauth.validateJwtAccessToken(as, request, 'app', { ...options, signingAlgorithms: ['EdDSA', 'Ed25519'] });
  return claims.sub;
}

told.resource = await resource(ACCESS);
told.resourceRefused = (await refused(resource(REFRESH))).name;
told.active = await introspect(ACCESS);
told.activeByWrongHint = (await introspect(ACCESS, { additionalParameters: { token_type_hint: 'refresh_token' } })).active;
told.activeRefresh = (await introspect(REFRESH)).active;

const next = await refresh(REFRESH, { additionalParameters: { scope: 'read' } });
told.refreshed = { token_type: next.token_type, expires_in: next.expires_in, scope: next.scope, resource: await resource(next.access_token) };
told.wider = await refused(refresh(next.refresh_token, { additionalParameters: { scope: 'read admin' } }));
told.junk = await refused(refresh('junk'));
told.foreign = await refused(refresh(FOREIGN));
told.wrongSecret = await refused(
  oauth.refreshTokenGrantRequest(as, client, oauth.ClientSecretBasic('gue%ss'), next.refresh_token, options).then((response) =>
    oauth.processRefreshTokenResponse(as, client, response),
  ),
);

told.revokedForeign = await refused(revoke(FOREIGN));
await revoke(next.access_token);
told.afterAccess = { access: await introspect(next.access_token), refresh: (await introspect(next.refresh_token)).active };
await revoke(next.refresh_token, { additionalParameters: { token_type_hint: 'access_token' } });
await revoke(next.refresh_token);
told.afterRefresh = { refresh: await introspect(next.refresh_token), grant: await refused(refresh(next.refresh_token)) };

// What a resource answers to a token that was revoked (RFC 6750 §3).
const verify = new URL(`${ISSUER}/auth/verify`);
told.challenged = await refused(
  oauth.protectedResourceRequest(next.access_token, 'GET', verify, undefined, undefined, options),
);

console.log(JSON.stringify(told));
