(function (uid, packed, start) {
  "use strict";
  const root = document.getElementById(uid);
  if (!root || root.classList.contains("s2s-unpacked") || !("DecompressionStream" in window)) return;
  root.classList.add("s2s-unpacked");
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
  text.json().then(([page, things]) => {
    root.innerHTML = page;
    if (things) start(uid, things);
  });
})
