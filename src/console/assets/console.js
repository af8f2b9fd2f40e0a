// Swaps what changes by itself on a live page. Without this the pages are still, and links and forms do everything.
"use strict";
(() => {
  const main = document.querySelector("[data-events]");
  const state = document.getElementById("live-state");
  const pause = document.getElementById("live-pause");
  if (!main || !state || !window.EventSource) return;
  let paused = false;
  const waiting = new Map();
  // What somebody uses stays under their hands: by keyboard, by mouse, chosen, opened, marked for a copy.
  const isUsed = (place) => {
    if (place.contains(document.activeElement) || place.matches(":active")) return true;
    if (place.querySelector("input:checked, details[open]")) return true;
    const marked = document.getSelection();
    return Boolean(marked && !marked.isCollapsed && marked.anchorNode && place.contains(marked.anchorNode));
  };
  const swapAll = () => {
    if (paused) return;
    for (const [id, html] of waiting) {
      const place = document.getElementById(id);
      if (place && isUsed(place)) continue;
      if (place) place.innerHTML = html;
      waiting.delete(id);
    }
  };
  for (const kind of ["focusout", "change", "click"]) document.addEventListener(kind, () => setTimeout(swapAll));
  const feed = new EventSource(main.dataset.events);
  feed.addEventListener("swap", (event) => {
    const { id, html } = JSON.parse(event.data);
    waiting.set(id, html);
    swapAll();
  });
  feed.addEventListener("open", () => { state.textContent = paused ? "paused" : "live"; });
  feed.addEventListener("error", () => { state.textContent = "not live: the service does not answer"; });
  if (!pause) return;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    state.textContent = paused ? "paused" : "live";
    swapAll();
  });
})();
