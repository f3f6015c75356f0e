// Draws the figures that the page holds, in the colors of its theme; makes legends, choices and the theme answer to clicks.
"use strict";
(function () {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];

  function themed() {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: of("--grid"), linecolor: of("--grid"), tickcolor: of("--grid") };
    return { font: of("--text"), background: of("--panel"), axis };
  }

  // Room that the words of a time need.
  const tickPixels = 90;

  function layoutOf(figure, width) {
    const theme = themed();
    const layout = figure.layout;
    layout.font = { ...layout.font, color: theme.font, family: "system-ui, sans-serif" };
    layout.hoverlabel = { ...layout.hoverlabel, bgcolor: theme.background, font: { color: theme.font } };
    layout.xaxis = { ...layout.xaxis, ...theme.axis, tickangle: 0, nticks: Math.max(2, Math.min(6, Math.floor(width / tickPixels))) };
    layout.yaxis = { ...layout.yaxis, ...theme.axis };
    return layout;
  }

  function draw(plot) {
    const figure = plot.figure || (plot.figure = JSON.parse(plot.querySelector("script").textContent));
    const settings = { responsive: true, displayModeBar: false };
    return Plotly.react(plot, figure.data, layoutOf(figure, plot.clientWidth), settings);
  }

  async function drawAll() {
    delete root.dataset.drawn;
    for (const plot of plots) {
      // What is in a closed section has no size yet.
      if (plot.offsetParent !== null) {
        await draw(plot);
      }
    }
    root.dataset.drawn = "yes";
  }

  // The address ends in #all where everything is to be seen, such as for a picture of the page.
  const isAll = location.hash === "#all";
  for (const section of document.querySelectorAll("details.section")) {
    section.open = section.open || isAll;
    section.addEventListener("toggle", () => {
      if (section.open) {
        section.querySelectorAll(".plot").forEach(draw);
      }
    });
  }

  for (const key of document.querySelectorAll(".key[data-trace]")) {
    const toggle = () => {
      const plot = key.closest(".body").querySelector(".plot");
      const isOff = key.classList.toggle("off");
      Plotly.restyle(plot, { visible: isOff ? "legendonly" : true }, [Number(key.dataset.trace)]);
    };
    key.addEventListener("click", toggle);
    key.addEventListener("keydown", (event) => event.key === "Enter" && toggle());
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    let kept = null;
    try {
      kept = localStorage.getItem("outrider-theme");
    } catch {
      // Nothing is kept: the system's choice holds.
    }
    if (!kept) {
      root.dataset.theme = event.matches ? "dark" : "light";
      drawAll();
    }
  });

  document.getElementById("theme")?.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("outrider-theme", root.dataset.theme);
    } catch {
      // Then it holds for this page alone.
    }
    drawAll();
  });

  const form = document.getElementById("choices");
  if (form) {
    form.addEventListener("change", (event) => {
      const field = event.target;
      if (field.type === "checkbox") {
        // "All" and single values exclude each other.
        const boxes = [...form.querySelectorAll(`input[name="${CSS.escape(field.name)}"]`)];
        const isAll = field.value === "$__all";
        boxes.filter((box) => box !== field && isAll !== (box.value === "$__all")).forEach((box) => (box.checked = false));
      } else if (field.tagName === "SELECT") {
        form.requestSubmit();
      }
    });
    const every = { "5s": 5, "10s": 10, "30s": 30, "1m": 60 }[form.dataset.refresh];
    if (every) {
      setTimeout(() => location.reload(), every * 1000);
    }
  }

  drawAll();
})();
