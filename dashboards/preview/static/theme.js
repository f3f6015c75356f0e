// Before anything is painted: the theme that was switched to, else the one that the system prefers.
"use strict";
(function () {
  let kept = null;
  try {
    kept = localStorage.getItem("outrider-theme");
  } catch {
    // A browser may keep nothing; then the system's choice holds.
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = kept || (dark.matches ? "dark" : "light");
})();
