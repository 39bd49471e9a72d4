(function (uid) {
  "use strict";
  const root = document.getElementById(uid);
  if (!root) return;
  const questions = Array.from(root.querySelectorAll(".s2s-question"));
  const score = root.querySelector(".s2s-score");
  let open = 0, right = 0;

  function answered(question) {
    const chosen = question.querySelector("input:checked");
    for (const choice of question.querySelectorAll("input")) choice.disabled = true;
    open += 1;
    if (chosen && chosen.classList.contains("s2s-hit")) right += 1;
    const left = questions.length - open;
    score.textContent = `${right} of ${open} right` + (left ? `, ${left} to go` : "");
    const standing = document.createElement("p");
    standing.className = "s2s-standing";
    standing.textContent = score.textContent;
    question.querySelector("details").append(standing);
  }

  // A notebook around the page does not get the keys with which a choice is made.
  root.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow") && event.target.matches("input")) event.stopPropagation();
  });

  score.textContent = `0 right, ${questions.length} to go`;
  // The first time an answer is opened counts, with the choice that stands then.
  for (const question of questions) {
    const details = question.querySelector("details");
    details.addEventListener("toggle", () => {
      if (!details.open || details.dataset.counted) return;
      details.dataset.counted = "yes";
      answered(question);
    });
  }
})
