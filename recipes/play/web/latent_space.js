// One question is on its way at a time; a place that the pointer has left meanwhile is never asked for.
const map = element.querySelector('.map'), point = element.querySelector('.point');
const seen = element.querySelector('.seen'), caption = element.querySelector('figcaption');
let x = 0.5, y = 0.5, asking = false, moved = false;
async function show() {
  point.style.left = 100 * x + '%'; point.style.top = 100 * y + '%';
  moved = true;
  if (asking) return;
  asking = true;
  try {
    while (moved) {
      moved = false;
      const [picture, words] = await server.look([x, y]);
      seen.src = picture; caption.textContent = words;
    }
  } finally { asking = false; }
}
const clip = value => Math.min(1, Math.max(0, value));
map.addEventListener('pointermove', event => {
  const box = map.getBoundingClientRect();
  x = clip((event.clientX - box.left) / box.width); y = clip((event.clientY - box.top) / box.height);
  show();
});
map.addEventListener('keydown', event => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (!step) return;
  event.preventDefault();
  x = clip(x + step[0] / 64); y = clip(y + step[1] / 64);
  show();
});
show();
