// Swaps what changes by itself on a live page. Without this the pages are still, and links and forms do everything.
"use strict";
(() => {
  const main = document.querySelector("[data-events]");
  const state = document.getElementById("live-state");
  const pause = document.getElementById("live-pause");
  if (!main || !state || !window.EventSource) return;
  let paused = false;
  const waiting = new Map();
  const swap = (id, html) => {
    const place = document.getElementById(id);
    // What somebody is using by keyboard stays under their hands.
    if (!place || place.contains(document.activeElement)) return false;
    place.innerHTML = html;
    return true;
  };
  const swapAll = () => {
    for (const [id, html] of waiting) if (swap(id, html)) waiting.delete(id);
  };
  const feed = new EventSource(main.dataset.events);
  feed.addEventListener("swap", (event) => {
    const { id, html } = JSON.parse(event.data);
    waiting.set(id, html);
    if (!paused) swapAll();
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
    if (!paused) swapAll();
  });
})();
