// Which sockets are open, and whom an event ends. This is the denylist's own rule, applied to what is held open.

/** What of a token an event can name. Only for tokens that Ostracon has accepted, or is about to be asked about. */
export function identity(token) {
  const [header, claims] = token.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  const { iss, jti, sid, sub, client_id, iat, exp } = claims;
  return { iss, jti, sid, sub, client_id, kid: header.kid, iat, exp };
}

/** Whether what a revocation names is what `who` came with. */
export function ends({ target, before }, who) {
  if (target.iss !== who.iss) return false;
  // A cut-off covers its whole second: whoever logged in in a later one stays. Who does not say when does not.
  const issuedBefore = !(Math.floor(who.iat) > before);
  switch (target.kind) {
    case "token":
      return target.jti === who.jti;
    case "session":
      return target.sid === who.sid;
    case "subject":
      return target.sub === who.sub && issuedBefore;
    case "client":
      return target.client_id === who.client_id && issuedBefore;
    case "key":
      return target.kid === who.kid && issuedBefore;
    case "issuer":
      return issuedBefore;
    default:
      // A kind of a later version: whatever it is, it may be meant.
      return true;
  }
}

export class Sockets {
  #open = new Map();

  /** Keeps an eye on `socket`, which belongs to `who`, until it is closed. `close` is called when it has to be. */
  add(socket, who, close) {
    this.#open.set(socket, { who, close });
  }

  delete(socket) {
    this.#open.delete(socket);
  }

  /** Acts on one event of the stream. */
  hear({ event, data }) {
    // A lift opens nothing that was closed. A reset says that events may be missing: then any of them may be over.
    if (event === "lift") return;
    for (const [socket, { who, close }] of this.#open) {
      if (event === "reset" || ends(data, who)) {
        this.#open.delete(socket);
        close();
      }
    }
  }
}
