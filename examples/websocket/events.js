// Listens to Ostracon's event stream (server-sent events), for as long as the process lives. Node has no EventSource that
// could send credentials, so this reads the stream itself; it is all that the standard asks for here.

const RETRY_MS = 1000;
// Ostracon says every 15 seconds that the stream lives (limits.event_heartbeat). Who hears nothing for longer than
// this is listening to a dead line.
const SILENCE_MS = 45_000;

/**
 * Calls `hear({ event, data })` for each event, in order, once, from the moment on at which it calls `begun()`. Goes on from
 * where it was whenever it is cut off.
 */
export async function listen(url, authorization, begun, hear) {
  let lastEventId = "";
  for (;;) {
    const silence = new AbortController();
    let timer;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    try {
      alive();
      const headers = { authorization, accept: "text/event-stream" };
      if (lastEventId) headers["last-event-id"] = lastEventId;
      const response = await fetch(url, { headers, signal: silence.signal });
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      for await (const block of blocks(response.body, alive)) {
        // A block without data is no event, but its id counts: nothing up to there is missing.
        if (block.data !== undefined) hear({ event: block.event, data: JSON.parse(block.data) });
        if (lastEventId === "") begun();
        lastEventId = block.id ?? lastEventId;
      }
    } catch (error) {
      console.error(`the event stream is interrupted: ${error.message}`);
    } finally {
      clearTimeout(timer);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** The blocks of a stream: fields up to an empty line. */
async function* blocks(body, alive) {
  const decoder = new TextDecoder();
  let rest = "";
  let block = {};
  for await (const chunk of body) {
    alive();
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        yield block;
        block = {};
        continue;
      }
      const colon = line.indexOf(":");
      const value = line.slice(colon + 1).replace(/^ /, "");
      // A line that begins with a colon is a comment.
      if (colon > 0) block[line.slice(0, colon)] = value;
    }
  }
}
