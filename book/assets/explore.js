// Brings <figure class="explore"> to life: controls choose one of the precomputed frames.
"use strict";

function bringToLife(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const image = figure.querySelector("img");
  const controls = [...figure.querySelectorAll("input, select")];
  const status = document.createElement("p");
  status.className = "explore-status";
  status.setAttribute("role", "status");
  figure.append(status);

  const position = (control) =>
    control.tagName === "SELECT" ? control.selectedIndex : Number(control.value);

  function show() {
    let frame = 0;
    controls.forEach((control, place) => {
      frame = frame * data.sizes[place] + position(control);
      if (control.type === "range") {
        const value = JSON.parse(control.dataset.values)[position(control)];
        control.setAttribute("aria-valuetext", value);
        control.nextElementSibling.textContent = value;
      }
    });
    image.src = "data:image/png;base64," + data.pictures[data.frames[frame]];
    image.alt = data.texts[frame];
    status.textContent = data.texts[frame];
  }

  controls.forEach((control) => control.addEventListener("input", show));

  const slider = controls.find((control) => control.type === "range");
  if (slider) {
    const play = document.createElement("button");
    play.type = "button";
    play.textContent = "Play";
    let timer = null;
    play.addEventListener("click", () => {
      if (timer === null) {
        timer = setInterval(() => {
          slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1);
          show();
        }, 900);
      } else {
        clearInterval(timer);
        timer = null;
      }
      play.textContent = timer === null ? "Play" : "Stop";
    });
    figure.querySelector(".explore-controls").append(play);
  }
  figure.classList.add("explore-live");
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("figure.explore").forEach(bringToLife);
});
