// A click on a stretch of the time line plays that stretch; a second click stops it.
// The listeners sit on the component, so they outlive every new answer that is rendered into it.
let stop = 0;
let frame = null;

const player = () => element.querySelector("audio");

function show() {
  const audio = player();
  const head = element.querySelector(".mser-head");
  if (!audio || !head) return;
  head.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
  const active = !audio.paused;
  for (const part of element.querySelectorAll("[data-label]")) {
    const here = audio.currentTime >= +part.dataset.start && audio.currentTime < +part.dataset.end;
    part.classList.toggle("mser-playing", active && here);
  }
  element.querySelector(".mser-play").textContent = active ? "Stop" : "Play all";
}

function follow() {
  const audio = player();
  if (audio && audio.currentTime >= stop) audio.pause();
  show();
  frame = audio && !audio.paused ? requestAnimationFrame(follow) : null;
}

element.addEventListener("click", (event) => {
  const part = event.target.closest("[data-start]");
  const audio = player();
  if (!part || !audio) return;
  const start = +part.dataset.start;
  const again = !audio.paused && audio.currentTime >= start && audio.currentTime < +part.dataset.end;
  if (again || (!audio.paused && part.matches(".mser-play"))) {
    audio.pause();
    show();
    return;
  }
  stop = +part.dataset.end;
  audio.currentTime = start;
  audio.play().then(
    () => {
      if (frame === null) follow();
    },
    () => {
      if (audio.error) element.querySelector(".mser-play").textContent = "No longer here: press Listen again";
    },
  );
});
