// A hapi application with cookie sessions that asks Ostracon instead of Redis.

import Hapi from '@hapi/hapi';
import * as Boom from '@hapi/boom';

import { Ostracon } from './ostracon.js';
import { plugin } from './scheme.js';

const {
  OSTRACON_PUBLIC = 'http://127.0.0.1:8080',
  OSTRACON_ADMIN = 'http://127.0.0.1:8081',
  CLIENT = 'backend',
  CLIENT_SECRET,
  ISSUER = 'http://127.0.0.1:8080',
  AUDIENCE = 'app',
  PORT = '3000',
  PASSWORD,
} = process.env;

const ostracon = new Ostracon({ public: OSTRACON_PUBLIC, admin: OSTRACON_ADMIN, client: CLIENT, secret: CLIENT_SECRET });

// The application's own users. Where they are kept, and how a password is proven, is no matter of Ostracon's.
const users = new Map([
  ['ada', { password: PASSWORD, scope: 'orders' }],
  ['root', { password: PASSWORD, scope: 'orders admin' }],
]);

const server = Hapi.server({ host: '127.0.0.1', port: PORT, state: { strictHeader: false, ignoreErrors: true } });
await server.register({
  plugin,
  options: { ostracon, cookie: 'USER_SESSION', issuer: ISSUER, audience: AUDIENCE },
});
server.auth.default('session');

/** Begins a session for the browser that asks. */
async function enter(request, h, sub, more = {}) {
  const device = request.headers['user-agent']?.slice(0, 80);
  const { cookies } = await ostracon.login({ sub, scope: users.get(sub).scope, device, ...more });
  return setCookies(h.response({ sub }), cookies);
}

function setCookies(response, cookies) {
  for (const cookie of cookies) response.header('set-cookie', cookie, { append: true });
  return response.header('cache-control', 'no-store');
}

/** What only Ostracon can answer, and the browser asks us. */
async function passOn(path, request, h) {
  const { status, headers, body } = await ostracon.passOn(path, request);
  return setCookies(h.response(body).code(status), headers['set-cookie'] ?? []);
}

server.route([
  {
    method: 'POST',
    path: '/login',
    options: { auth: false },
    handler(request, h) {
      const { user, password } = request.payload ?? {};
      if (typeof password !== 'string' || users.get(user)?.password !== password) throw Boom.forbidden('wrong user or password');
      return enter(request, h, user);
    },
  },
  // `/auth/logout`, too: there the browser sends the refresh cookie, also when the other one has run out.
  ...['/logout', '/auth/logout'].map((path) => ({
    method: 'POST',
    path,
    options: { auth: false },
    handler: (request, h) => passOn('/auth/logout', request, h),
  })),
  {
    method: 'POST',
    path: '/auth/refresh',
    options: { auth: false },
    handler: (request, h) => passOn('/auth/refresh', request, h),
  },
  {
    // Low risk: the signature is enough.
    method: 'GET',
    path: '/catalogue',
    options: { auth: 'signature' },
    handler: ({ auth }) => ({ sub: auth.credentials.sub, items: ['amphora', 'krater'] }),
  },
  {
    // Sensitive: whoever logged out is out.
    method: 'GET',
    path: '/orders',
    options: { plugins: { ostracon: { scope: 'orders', tier: 'high' } } },
    handler: ({ auth }) => ({ sub: auth.credentials.sub, orders: [] }),
  },
  {
    // The new password first, so that nobody logs in with the old one; then this device has a new session and every
    // other one is out, in one step: should it fail, nothing was ended.
    method: 'POST',
    path: '/password',
    async handler(request, h) {
      const { sub } = request.auth.credentials;
      users.get(sub).password = request.payload.password;
      return enter(request, h, sub, { end_others: 'password_change' });
    },
  },
  {
    method: 'DELETE',
    path: '/account',
    async handler({ auth }) {
      const { sub } = auth.credentials;
      users.delete(sub);
      await ostracon.revoke({ kind: 'subject', sub }, 'account_deleted');
      return { deleted: sub };
    },
  },
]);

// What an administrator does to somebody else.
const admin = { plugins: { ostracon: { scope: 'admin', tier: 'high' } } };

function find({ params }) {
  const user = users.get(params.sub);
  if (!user) throw Boom.notFound();
  return user;
}

server.route([
  {
    method: 'POST',
    path: '/admin/users/{sub}/suspend',
    options: admin,
    async handler(request) {
      find(request).password = undefined;
      return ostracon.revoke({ kind: 'subject', sub: request.params.sub }, 'account_suspended');
    },
  },
  {
    method: 'POST',
    path: '/admin/users/{sub}/scope',
    options: admin,
    async handler(request) {
      // The tokens that are out say what was true when they were made; the next login says what is true now.
      find(request).scope = request.payload.scope;
      return ostracon.revoke({ kind: 'subject', sub: request.params.sub }, 'permission_change');
    },
  },
  {
    method: 'POST',
    path: '/admin/users/{sub}/logout',
    options: admin,
    handler: ({ params, auth }) => ostracon.revoke({ kind: 'subject', sub: params.sub }, 'admin', `by ${auth.credentials.sub}`),
  },
]);

await server.start();
console.log(`listening on ${server.info.uri}`);
process.on('SIGTERM', () => server.stop());
