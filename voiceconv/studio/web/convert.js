// The Convert tab: choose a voice, speak, and hear it.

const MOST_RESULTS = 10;
const DEAD_SECONDS = 2;      // without any sound, after which the microphone is said to be dead
const DEAD_LEVEL = 0.02;

const find = (selector) => element.querySelector(selector);
translate(element.querySelectorAll("h2, .hint, .upload, .adjust summary, .reset, .go, .working button"));
const [microphone, hint, meter, problem, working] =
  [".microphone", ".hint", ".level", ".speak > .problem", ".working"].map(find);
let recording = null;      // what `record` returned, while it records
let opening = false;
let source = null;         // {file | path, title, url}: what is converted
let running = null;        // the AbortController of the conversion under way
let latest = null;
let longest = Infinity;
const players = [];
const example = {};        // how often a speaker's example was taken: the next time, the next clip

const say = (text) => { problem.textContent = text; problem.hidden = !text; };
const voices = voiceCards(find(".voices"), {name: "voice", onProblem: say, onChange: () => { showExamples(); again(); }});

const adjust = adjustments(find(".controls"), {denoise: true, onChange: () => again()});

function idle() {
  microphone.classList.remove("on");
  relabel(microphone, "microphone", t("Record"));
  hint.textContent = t("Press and speak");
  showLevel(meter, 0);
}

async function toggle() {
  if (recording) { await finish(); return; }
  if (opening) return;
  opening = true;
  say("");
  giveUp();
  for (const audio of document.querySelectorAll("audio")) audio.pause();   // the microphone would hear it
  hint.textContent = t("Opening the microphone …");
  let loudest = 0;
  try {
    recording = await record((samples, seconds) => {
      const now = level(samples);
      loudest = Math.max(loudest, now);
      showLevel(meter, now);
      hint.textContent = `${clock(seconds)} – ${t("press again to hear yourself")}`;
      if (loudest < DEAD_LEVEL && seconds > DEAD_SECONDS) say(t("The microphone hears nothing. Is it muted, or is another one meant?"));
      else if (loudest >= DEAD_LEVEL) say("");
      if (seconds >= longest) finish();
    }, () => finish());
    microphone.classList.add("on");
    relabel(microphone, "stop", t("Stop"));
  } catch (error) {
    idle();
    say(error.message);
  }
  opening = false;
}

async function finish() {
  const ended = recording;
  if (!ended) return;
  recording = null;
  const file = await ended.finish();
  idle();
  take({file, title: t("Your recording"), url: URL.createObjectURL(file)});
}

/** What is converted from now on, and at once. */
function take(taken) {
  source = taken;
  const listen = make("button", {type: "button", class: "hear"}, icon("play"), ` ${taken.title}`);
  const audio = make("audio", {src: taken.url});
  listen.addEventListener("click", () => (audio.paused ? audio.play().catch(() => say(t("This browser cannot play the file."))) : audio.pause()));
  find(".source").replaceChildren(listen, audio,
    make("button", {type: "button", class: "remove", "aria-label": t("Remove"), title: t("Remove"), onclick: forget}, "×"));
  find(".source").hidden = false;
  convert();
}

function giveUp() {
  running?.abort();
  running = null;
  working.hidden = true;
}

function forget() {
  giveUp();
  source = null;
  find(".source").hidden = true;
  find(".source").replaceChildren();
}

const again = () => { if (source && !recording) convert(); };

async function convert() {
  say("");
  if (recording) { await finish(); return; }
  const card = voices.chosen();
  if (!source || !card) { say(t("There is nothing to convert yet: press the microphone and speak, upload a file, or try an example.")); return; }
  running?.abort();
  const asked = running = new AbortController();
  const from = source;
  const controls = adjust.values();
  const progress = working.querySelector("progress");
  const status = working.querySelector("p");
  working.hidden = false;
  progress.removeAttribute("value");
  status.textContent = `${from.title} → ${card.name} …`;
  try {
    from.path ??= await upload(from.file, asked.signal);
    const [done] = await ask("convert_with_progress", [asFile(from.path), card.value, controls], {
      signal: asked.signal,
      onStep: ([step]) => {
        if (!step.total) return;
        progress.value = step.done / step.total;
        status.textContent = `${from.title} → ${card.name}: ${t("{done} of {total}", {done: clock(step.done), total: clock(step.total)})}`;
      },
    });
    if (running === asked) show({title: `${from.title} → ${card.name}`, voice: card.name, value: card.value, source: from.url,
      sourcePath: from.path, path: done.path, seconds: done.seconds, asked: adjust.told(controls), notes: done.notes});
  } catch (error) {
    if (running === asked && error.name !== "AbortError") say(error.message);
  } finally {
    if (running === asked) { running = null; working.hidden = true; }
  }
}

function show(result) {
  const player = resultPlayer(result);
  latest?.article.classList.remove("latest");
  latest = player;
  player.article.classList.add("latest");
  players.forEach((each) => each.pause());
  players.unshift(player);
  find(".list").prepend(player.article);
  for (const old of players.splice(MOST_RESULTS)) old.article.remove();
  player.play();
  if (player.article.getBoundingClientRect().bottom > innerHeight) {
    player.article.scrollIntoView({block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
  }
}

/** Clips of every speaker but the one who is chosen already. */
function showExamples() {
  const others = voices.all().filter((card) => card.clips && card.value !== voices.chosen()?.value);
  find(".examples").replaceChildren(...(others.length ? [t("or try an example:"), " "] : []), ...others.map((card) =>
    make("button", {type: "button", onclick: () => takeExample(card)}, card.name)));
}

async function takeExample(card) {
  say("");
  const number = example[card.value] = ((example[card.value] ?? -1) + 1) % card.clips;
  const mine = takeExample.last = {};
  try {
    const [clip] = await ask("clip", [card.value, number]);
    if (takeExample.last !== mine) return;   // another one was asked for meanwhile
    const title = `${card.name} ${number + 1}`;
    take({path: clip.path, title, url: fileAt(clip.path)});
  } catch (error) { say(error.message); }
}

function takeFile(file) {
  if (file) take({file, title: file.name, url: URL.createObjectURL(file)});
}

const chooser = find("input[type=file]");
find(".upload").addEventListener("click", () => chooser.click());
chooser.addEventListener("change", () => { takeFile(chooser.files[0]); chooser.value = ""; });
element.addEventListener("dragover", (event) => event.preventDefault());
element.addEventListener("drop", (event) => { event.preventDefault(); takeFile(event.dataTransfer.files[0]); });
microphone.addEventListener("click", toggle);
find(".go").addEventListener("click", convert);
working.querySelector("button").addEventListener("click", giveUp);
find(".reset").addEventListener("click", () => { adjust.reset(); again(); });
const refresh = () => voices.refresh().then((found) => { longest = found.longest; showExamples(); }, (error) => say(error.message));
window.addEventListener("voiceconv-voices", refresh);
window.addEventListener("voiceconv-use", ({detail}) => voices.choose(detail).then(showExamples, (error) => say(error.message)));
idle();
refresh();
