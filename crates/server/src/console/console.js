// Keeps the overview as it is now. Pages need no script for anything else.
const live = document.querySelector("[data-live]");
if (live) {
  const state = live.querySelector("[data-state]");
  const button = live.querySelector("[data-pause]");
  let source = null;
  let again = 0;

  const tell = (text, on) => {
    state.textContent = text;
    live.toggleAttribute("data-on", on);
  };
  const replace = ({ type, data }) => {
    const part = document.getElementById(type);
    // Nobody loses what they have marked, or the place where they are.
    const marked = getSelection();
    if (!marked.isCollapsed && part.contains(marked.anchorNode)) return;
    const held = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    part.innerHTML = data;
    if (held) part.querySelector(`[href="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  };
  // Without a session one is shown the login. What else it is may pass, and is asked about without loading the page again.
  const refused = async () => {
    tell("Not live, trying again", false);
    const asking = new AbortController();
    const headers = { accept: "text/event-stream" };
    const answer = await fetch(live.dataset.live, { headers, signal: asking.signal }).catch(() => null);
    asking.abort();
    if (answer?.status === 401) location.reload();
    else if (source) again = setTimeout(begin, 5000);
  };
  const begin = () => {
    tell("Connecting", false);
    source = new EventSource(live.dataset.live);
    source.onopen = () => tell("Live", true);
    source.onerror = () => {
      // A browser that is refused does not ask again by itself.
      if (source.readyState === EventSource.CLOSED) refused();
      else tell("Reconnecting", false);
    };
    source.addEventListener("figures", replace);
    source.addEventListener("recent", replace);
    button.textContent = "Pause";
  };
  const end = () => {
    clearTimeout(again);
    source.close();
    source = null;
    tell("Paused", false);
    button.textContent = "Go on";
  };

  button.addEventListener("click", () => (source ? end() : begin()));
  live.hidden = false;
  begin();
}
