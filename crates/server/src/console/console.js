// Keeps the overview as it is now. Pages need no script for anything else.
const live = document.querySelector("[data-live]");
if (live) {
  const state = live.querySelector("[data-state]");
  const button = live.querySelector("[data-pause]");
  let source = null;

  const tell = (text, on) => {
    state.textContent = text;
    live.toggleAttribute("data-on", on);
  };
  const replace = ({ type, data }) => {
    const part = document.getElementById(type);
    // Nobody loses the place where they are, or what they have marked.
    const marked = getSelection();
    if (part.contains(document.activeElement) || (!marked.isCollapsed && part.contains(marked.anchorNode))) return;
    part.innerHTML = data;
  };
  const begin = () => {
    tell("Connecting", false);
    source = new EventSource(live.dataset.live);
    source.onopen = () => tell("Live", true);
    source.onerror = () => {
      // A browser that is refused does not ask again: there is no session any more.
      if (source.readyState === EventSource.CLOSED) location.reload();
      else tell("Reconnecting", false);
    };
    source.addEventListener("figures", replace);
    source.addEventListener("recent", replace);
    button.textContent = "Pause";
  };
  const end = () => {
    source.close();
    source = null;
    tell("Paused", false);
    button.textContent = "Go on";
  };

  button.addEventListener("click", () => (source ? end() : begin()));
  live.hidden = false;
  begin();
}
