// A formula wider than the page scrolls, so it has to be reachable by the keyboard.
"use strict";

function reachWideFormulas() {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    formula.toggleAttribute("tabindex", false);
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
  }
}

window.addEventListener("load", () => {
  if (!window.MathJax || !MathJax.startup) return;
  MathJax.startup.promise.then(reachWideFormulas);
  window.addEventListener("resize", reachWideFormulas);
});
