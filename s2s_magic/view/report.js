(function (uid, things) {
  "use strict";
  const root = document.getElementById(uid);
  if (!root || root.classList.contains("s2s-live")) return;
  const all = (where, selector) => Array.from(where.querySelectorAll(selector));
  const steps = all(root, ".s2s-radio");
  const panes = all(root, ".s2s-pane");
  const bar = root.querySelector(".s2s-controls");
  const now = root.querySelector(".s2s-now");
  const said = root.querySelector(".s2s-said");
  const last = steps.length - 1;
  const HEAD = 30;
  const stops = new Map();
  let timer = null;

  const chosen = () => steps.findIndex((step) => step.checked);
  const seen = (part) => part.getClientRects().length > 0;

  // What a part of the page stands for: boxes and rows of one object are one thing.
  function thingsAt(target) {
    const label = target.closest("label[for]");
    if (label && root.contains(label) && label.htmlFor.startsWith(uid + "-r")) return ["s" + label.htmlFor.split("-r").pop()];
    if (!target.closest(".s2s-panes")) return [];
    const part = target.closest("[data-is]");
    const line = target.closest(".s2s-line");
    const parts = part ? [part] : line ? all(line, "[data-is]") : [];
    const marks = parts.flatMap((each) => each.dataset.is.split(" "));
    return [...new Set(marks.map((mark) => mark.replace(/^[br]/, "o")))].filter((mark) => mark in things);
  }

  // A step is told by its own sentence, everything else by the words that came with it.
  function tell(pointed) {
    const parts = pointed.flatMap((thing) => {
      if (thing[0] !== "s") return [things[thing][0], " "];
      return [...document.getElementById(uid + "-h" + thing.slice(1)).cloneNode(true).childNodes, " "];
    });
    said.replaceChildren(...parts);
  }

  // The group or row that shows a part as of the first step of what it is, if that is still to come.
  function toCome(parts, mark) {
    const thing = things[mark.replace(/^[br]/, "o")];
    const first = thing && thing[1].length ? thing[1][0] : Infinity;
    const found = parts.map((part) => part.closest("tr, svg > g")).filter((outer) => edge(outer, "b") > chosen());
    return found.find((outer) => edge(outer, "b") <= first && !(edge(outer, "x") <= first)) || found[0];
  }

  function edge(outer, kind) {
    const found = outer && new RegExp(`(?:^| )${kind}(\\d+)`).exec(outer.getAttribute("class") || "");
    return found ? Number(found[1]) : NaN;
  }

  function light(pointed) {
    for (const part of all(root, ".s2s-lit, .s2s-ahead")) part.classList.remove("s2s-lit", "s2s-ahead");
    const marks = new Set(pointed.flatMap((thing) => things[thing][2].split(" ")));
    for (const pane of panes) {
      for (const mark of marks) {
        const parts = all(pane, `[data-is~="${mark}"]`);
        for (const part of parts) part.classList.add("s2s-lit");
        if (parts.some(seen)) continue;
        const outer = toCome(parts, mark);
        if (outer) outer.classList.add("s2s-ahead");
      }
    }
    now.classList.toggle("s2s-pointing", pointed.length > 0);
    if (pointed.length) {
      tell(pointed.slice(0, 3));
      for (const pane of panes) reveal(pane, all(pane, ".s2s-lit"));
    }
  }

  // Scroll a pane, and nothing else, until all of some parts are in sight; if there is no room for all, until one is.
  function reveal(pane, parts) {
    const frame = pane.querySelector(".s2s-source, .s2s-scroll");
    const shown = parts.filter(seen).map((part) => part.getBoundingClientRect());
    if (!shown.length || !frame || pane.matches(":hover, :focus-within")) return;
    const here = frame.getBoundingClientRect();
    const top = Math.min(...shown.map((there) => there.top));
    const bottom = Math.max(...shown.map((there) => there.bottom));
    const room = frame.clientHeight - HEAD - (bottom - top);
    const inside = shown.map((there) => there.top >= here.top + HEAD && there.bottom <= here.bottom);
    if (room > 0 ? inside.includes(false) : !inside.includes(true)) frame.scrollTop += top - here.top - HEAD - Math.max(6, room / 2);
    const left = Math.min(...shown.map((there) => there.left));
    const right = Math.max(...shown.map((there) => there.right));
    const beside = frame.clientWidth - (right - left);
    if (left < here.left || (beside > 0 ? right > here.right : left > here.right - 40)) frame.scrollLeft += left - here.left - Math.max(20, beside / 2);
  }

  function show() {
    const at = chosen();
    for (const pane of panes) {
      const marks = things["s" + at][2].split(" ");
      reveal(pane, marks.flatMap((mark) => all(pane, `[data-is~="${mark}"]`)));
      tabStop(pane);
    }
    tell(["s" + at]);
  }

  function go(to) {
    const held = document.activeElement;
    const key = held && root.contains(held) && held.dataset.thing;
    steps[Math.min(last, Math.max(0, to))].checked = true;
    show();
    if (key && !seen(held)) {
      const same = items(held.closest(".s2s-pane")).find((item) => item.dataset.thing === key);
      if (same) same.focus();
    }
  }

  // The next of the steps of what was chosen, so that choosing it again goes on.
  function follow(pointed) {
    const goals = [...new Set(pointed.flatMap((thing) => things[thing][1]))].sort((one, other) => one - other);
    if (!goals.length) return;
    const at = chosen();
    stop();
    go(goals.find((goal) => goal > at) ?? goals[0]);
  }

  // -- one tab stop in each pane; the arrow keys move within it
  function items(pane) {
    const found = new Map();
    for (const item of all(pane, "[data-thing]")) if (!found.has(item.dataset.thing) && seen(item)) found.set(item.dataset.thing, item);
    const list = [...found.values()];
    if (pane.querySelector(".s2s-tree")) return list;
    const first = (item) => things[item.dataset.thing][1][0] ?? -1;
    return list.sort((one, other) => first(one) - first(other));
  }

  function tabStop(pane) {
    const list = items(pane);
    const lights = things["s" + chosen()][2].split(" ").map((mark) => mark.replace(/^[br]/, "o"));
    const wanted = list.find((item) => item.dataset.thing === stops.get(pane)) || list.find((item) => lights.includes(item.dataset.thing)) || list[0];
    for (const item of all(pane, "[data-thing]")) item.tabIndex = item === wanted ? 0 : -1;
  }

  // Named by what it shows; the status tells the rest.
  function makeItem(item, thing) {
    item.dataset.thing = thing;
    item.tabIndex = -1;
    item.setAttribute("role", "link");
  }

  function prepare() {
    for (const pane of panes) {
      for (const part of all(pane, "code [data-is], svg g[data-is], tr[data-is]")) {
        const thing = thingsAt(part)[0];
        if (!thing) continue;
        makeItem(part.matches("tr") ? part.querySelector("th > span > span") : part, thing);
        if (thing[0] !== "w") continue;
        const reach = part.querySelector("path").cloneNode();
        reach.setAttribute("class", "s2s-reach");
        part.insertBefore(reach, part.querySelector("path"));
      }
      for (const frame of all(pane, "[tabindex='0']:not([data-thing])")) frame.removeAttribute("tabindex");
      const svg = pane.querySelector("svg.s2s-wiring");
      if (svg) {
        svg.setAttribute("role", "group");
        svg.setAttribute("aria-label", "Wiring: boxes and wires");
      }
    }
  }

  const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const radio = event.target.closest(".s2s-radio");
    if (radio && event.key.startsWith("Arrow")) {
      // the browser's own key, and none for the notebook around the page
      event.stopPropagation();
      return;
    }
    if (radio && (event.key === "Home" || event.key === "End")) {
      stop();
      go(event.key === "Home" ? 0 : last);
      steps[chosen()].focus();
    } else if (event.key === "Escape") {
      light([]);
      return;
    } else {
      const item = event.target.closest("[data-thing]");
      if (!item) return;
      if (event.key === "Enter" || event.key === " ") {
        follow([item.dataset.thing]);
      } else if (event.key in MOVES) {
        const pane = item.closest(".s2s-pane");
        const list = items(pane);
        const to = list.findIndex((each) => each.dataset.thing === item.dataset.thing) + MOVES[event.key];
        const next = list[Math.min(list.length - 1, Math.max(0, to))];
        stops.set(pane, next.dataset.thing);
        tabStop(pane);
        next.focus();
      } else {
        return;
      }
    }
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("focusin", (event) => { if (event.target.closest("[data-thing]")) light(thingsAt(event.target)); });
  root.addEventListener("focusout", (event) => { if (!root.contains(event.relatedTarget)) light([]); });
  root.addEventListener("pointerover", (event) => light(thingsAt(event.target)));
  root.addEventListener("pointerleave", () => light([]));
  root.addEventListener("click", (event) => {
    if (event.target.closest("label, input, summary, button") || String(getSelection())) return;
    follow(thingsAt(event.target));
  });

  // -- buttons and a filter
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function button(text, name, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    if (name) made.setAttribute("aria-label", name);
    if (name) made.title = name;
    made.addEventListener("click", act);
    bar.append(made);
    return made;
  }

  button("«", "First step", () => { stop(); go(0); });
  button("‹", "Previous step", () => { stop(); go(chosen() - 1); });
  const play = button("Play", "", () => {
    if (timer) { stop(); return; }
    if (chosen() === last) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => { if (chosen() === last) stop(); else go(chosen() + 1); }, 1500);
  });
  button("›", "Next step", () => { stop(); go(chosen() + 1); });
  button("»", "Last step", () => { stop(); go(last); });
  bar.hidden = false;

  const sought = document.createElement("input");
  Object.assign(sought, { type: "search", placeholder: "filter by name" });
  sought.setAttribute("aria-label", "Filter owners and variables by name");
  sought.addEventListener("input", () => {
    const wanted = sought.value.toLowerCase();
    for (const row of all(root, ".s2s-tree tbody tr")) row.classList.toggle("s2s-filtered", !row.textContent.toLowerCase().includes(wanted));
  });
  const filters = root.querySelector(".s2s-filters");
  if (filters) filters.append(sought);

  for (const step of steps) step.addEventListener("change", () => { stop(); light([]); show(); });
  for (const fold of all(root, ".s2s-open")) fold.open = true;
  root.classList.add("s2s-live");
  prepare();
  // JupyterLab leaves a key to an element that has this attribute itself; it gets those with Control, such as to save.
  const keys = all(root, "input, button, summary, [data-thing], [tabindex]");
  const keep = (part, ours) => { if (keys.includes(part)) part.toggleAttribute("data-lm-suppress-shortcuts", ours); };
  for (const part of keys) keep(part, true);
  const isControl = (event) => event.key === "Control" || event.key === "Meta";
  root.addEventListener("keydown", (event) => { if (isControl(event)) keep(event.target, false); });
  root.addEventListener("keyup", (event) => { if (isControl(event)) keep(event.target, true); });
  root.addEventListener("focusout", (event) => keep(event.target, true));
  show();
  // Where nothing is seen there is no tab stop: a page that stands in for an inspector is hidden at first.
  new ResizeObserver(() => panes.forEach(tabStop)).observe(root);
})
