// One drawing is on its way at a time; what it was meanwhile is never sent.
const canvas = element.querySelector('canvas'), pen = canvas.getContext('2d');
const result = element.querySelector('.result'), size = element.querySelector('.size');
const colours = {blue: '#00a6ed', red: '#f8312f', yellow: '#ffb02e', green: '#00d26a', violet: '#8d65c5',
  brown: '#bb8b5e', black: '#212121', white: '#ffffff'};
let asking = false, changed = false, last = null;
async function show() {
  changed = true;
  if (asking) return;
  asking = true;
  try {
    while (changed) {
      changed = false;
      result.src = await server.translate([canvas.toDataURL('image/png')]);
    }
  } finally { asking = false; }
}
function clear() { pen.fillStyle = '#fff'; pen.fillRect(0, 0, canvas.width, canvas.height); }
function choose(button) {
  element.querySelectorAll('.colours button').forEach(each => each.setAttribute('aria-pressed', each === button));
  pen.strokeStyle = button.style.backgroundColor;
}
for (const [name, colour] of Object.entries(colours)) {
  const button = document.createElement('button');
  button.type = 'button'; button.title = name; button.setAttribute('aria-label', name);
  button.style.backgroundColor = colour;
  button.addEventListener('click', () => choose(button));
  element.querySelector('.colours').append(button);
}
choose(element.querySelector('.colours button'));
const at = event => {
  const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
};
function stroke(event) {
  const place = at(event);
  pen.lineWidth = size.value; pen.lineCap = 'round';
  pen.beginPath(); pen.moveTo(...last); pen.lineTo(...place); pen.stroke();
  last = place;
  show();
}
canvas.addEventListener('pointerdown', event => {
  canvas.setPointerCapture(event.pointerId); last = at(event); stroke(event);
});
canvas.addEventListener('pointermove', event => { if (last) stroke(event); });
for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { last = null; });
element.querySelector('.clear').addEventListener('click', () => { clear(); show(); });
element.querySelector('.file input').addEventListener('change', async event => {
  const picture = await createImageBitmap(event.target.files[0]);
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  clear();
  pen.drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  event.target.value = '';
  show();
});
clear();
const shapes = [['#ffb02e', () => pen.arc(72, 72, 48, 0, 2 * Math.PI)], ['#00a6ed', () => pen.rect(96, 180, 216, 180)],
  ['#f8312f', () => { pen.moveTo(60, 190); pen.lineTo(204, 60); pen.lineTo(348, 190); }],
  ['#bb8b5e', () => pen.rect(168, 240, 72, 120)]];
for (const [colour, shape] of shapes) { pen.fillStyle = colour; pen.beginPath(); shape(); pen.fill(); }
show();
