// What a Node application needs of Ostracon: one kept connection to each listener, and a function for each question.

import http from 'node:http';

/** Ostracon cannot be asked, or cannot answer: nothing is known, so nothing passes. */
export class Unavailable extends Error {}

export class Ostracon {
  #public;
  #admin;
  #authorization;

  /** `public` and `admin` are listeners: a URL, or `unix:` and the path of a socket. */
  constructor({ public: publicListener, admin, client, secret, timeout = 5000 }) {
    this.#public = new Listener(publicListener, timeout);
    this.#admin = new Listener(admin, timeout);
    this.#authorization = `Basic ${Buffer.from(`${client}:${secret}`).toString('base64')}`;
  }

  /** Whose token a request carries, by its headers: in `Authorization` or in the cookie. */
  async verify({ authorization, cookie }, query = {}) {
    const path = `/auth/verify?${new URLSearchParams(query)}`;
    const { status, headers, body } = await this.#public.ask('GET', path, { authorization, cookie });
    if (status !== 200) return { refused: status, challenge: headers['www-authenticate'], code: body.code };
    return {
      sub: decodeURIComponent(headers['x-auth-subject']),
      sid: decodeURIComponent(headers['x-auth-session']),
      scope: headers['x-auth-scope'].split(' ').filter(Boolean),
    };
  }

  /** Passes a browser's logout or refresh on, with what says which page sent it; the answer has the cookies. */
  passOn(path, request) {
    const { authorization, cookie, origin } = request.headers;
    const site = request.headers['sec-fetch-site'];
    return this.#public.ask('POST', path, { authorization, cookie, origin, 'sec-fetch-site': site });
  }

  /** The public keys, for routes that a signature is enough for. */
  async keys() {
    const { status, body } = await this.#public.ask('GET', '/.well-known/jwks.json', {});
    if (status !== 200) throw new Unavailable(`the keys are answered with ${status}`);
    return body;
  }

  /** Begins a session; `cookies` of the answer are ready `Set-Cookie` values. */
  login(login) {
    return this.#backend('POST', '/v1/sessions', login);
  }

  /** Ends a target: `{ kind: 'subject', sub }`, `{ kind: 'session', sid }`, … It counts once this has returned. */
  revoke(target, reason, note) {
    return this.#backend('POST', '/v1/revocations', { target, reason, note });
  }

  async #backend(method, path, body) {
    const answer = await this.#admin.ask(method, path, { authorization: this.#authorization }, body);
    if (answer.status >= 300) throw new Unavailable(`${method} ${path}: ${answer.status} ${answer.body.code}`);
    return answer.body;
  }
}

class Listener {
  #options;

  constructor(address, timeout) {
    const agent = new http.Agent({ keepAlive: true });
    const socketPath = address.startsWith('unix:') ? address.slice('unix:'.length) : undefined;
    const { hostname, port } = socketPath ? {} : new URL(address);
    this.#options = { agent, timeout, socketPath, hostname, port };
  }

  async ask(method, path, headers, body) {
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    if (body !== undefined) sent['content-type'] = 'application/json';
    // A connection that lay idle may be closed by the other side just now; a second one is fresh.
    for (let last = false; ; last = true) {
      try {
        return await this.#once(method, path, sent, body);
      } catch (error) {
        if (last || !(error.reused && error.code === 'ECONNRESET')) throw new Unavailable(error.message);
      }
    }
  }

  #once(method, path, headers, body) {
    return new Promise((resolve, reject) => {
      const request = http.request({ ...this.#options, method, path, headers });
      request.on('timeout', () => request.destroy(new Error('no answer in time')));
      request.on('error', (error) => reject(Object.assign(error, { reused: request.reusedSocket })));
      request.on('response', async (response) => {
        try {
          let text = '';
          for await (const chunk of response.setEncoding('utf8')) text += chunk;
          resolve({ status: response.statusCode, headers: response.headers, body: text ? JSON.parse(text) : {} });
        } catch (error) {
          reject(error);
        }
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
