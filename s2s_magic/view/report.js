(function (uid) {
  "use strict";
  const root = document.getElementById(uid);
  if (!root) return;
  const steps = Array.from(root.querySelectorAll(".s2s-radio"));
  const bar = root.querySelector(".s2s-controls");
  const last = steps.length - 1;
  let timer = null;

  function chosen() { return steps.findIndex((step) => step.checked); }

  function show() {
    const at = chosen();
    slider.value = at;
    slider.setAttribute("aria-valuetext", steps[at].getAttribute("aria-label"));
    const mark = root.querySelector(".s2s-source .e" + steps[at].id.split("-r").pop());
    const frame = root.querySelector(".s2s-source");
    if (mark && frame) {
      const gap = mark.getBoundingClientRect().top - frame.getBoundingClientRect().top;
      if (gap < 0 || gap > frame.clientHeight - 40) frame.scrollTop += gap - frame.clientHeight / 2;
    }
  }

  function go(to) {
    steps[Math.min(last, Math.max(0, to))].checked = true;
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function button(text, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    bar.append(made);
    return made;
  }

  button("« First", () => { stop(); go(0); });
  button("‹ Previous", () => { stop(); go(chosen() - 1); });
  const play = button("Play", () => {
    if (timer) { stop(); return; }
    if (chosen() === last) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => { if (chosen() === last) stop(); else go(chosen() + 1); }, 1500);
  });
  button("Next ›", () => { stop(); go(chosen() + 1); });
  button("Last »", () => { stop(); go(last); });
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: last });
  slider.setAttribute("aria-label", "Step");
  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
  bar.append(slider);
  bar.hidden = false;
  root.classList.add("s2s-live");

  const words = document.createElement("input");
  Object.assign(words, { type: "search", placeholder: "filter by name" });
  words.setAttribute("aria-label", "Filter owners and variables by name");
  words.addEventListener("input", () => {
    const wanted = words.value.toLowerCase();
    const rows = Array.from(root.querySelectorAll(".s2s-tree tbody tr"));
    for (const row of rows) row.classList.toggle("s2s-filtered", !row.textContent.toLowerCase().includes(wanted));
  });
  const filters = root.querySelector(".s2s-filters");
  if (filters) filters.append(words);

  for (const step of steps) step.addEventListener("change", () => { stop(); show(); });
  show();
})
