// The Live tab: microphone -> WebSocket -> loudspeaker, in blocks of 23 ms.

const PLAYER = `
  const BLOCK = 512, BUFFER = 3 * BLOCK, TOO_MUCH = 16 * BLOCK;
  class Live extends AudioWorkletProcessor {
    constructor() {
      super();
      this.block = new Float32Array(BLOCK);
      this.filled = 0;           // samples of the block
      this.heard = 0;            // samples from the microphone
      this.spoken = 0;           // samples that were played; number n is number n of the microphone, converted
      this.queue = [];
      this.waiting = 0;
      this.offset = 0;           // into the first of the queue
      this.playing = false;
      this.dropouts = 0;         // times that nothing was there to play, or too much
      this.port.onmessage = ({data}) => {
        if (!data.length) return;  // nothing is ready yet; reading from it would give NaN, which is silence for good
        this.queue.push(data);
        this.waiting += data.length;
        if (this.waiting > TOO_MUCH) this.dropouts++;
        while (this.waiting > TOO_MUCH) this.skip();
      };
    }
    skip() {                     // what came late is left out: a conversation must not lag behind ever more
      const rest = this.queue.shift().length - this.offset;
      this.offset = 0;
      this.waiting -= rest;
      this.spoken += rest;
    }
    process([input], [output]) {
      for (const sample of input[0] ?? []) {
        this.block[this.filled++] = sample;
        if (this.filled === BLOCK) {
          const lag = (this.heard - this.spoken) / sampleRate;
          this.port.postMessage({samples: this.block.slice(), lag, dropouts: this.dropouts});
          this.filled = 0;
        }
      }
      this.heard += input[0]?.length ?? 0;
      this.playing ||= this.waiting >= BUFFER;
      const out = output[0];
      for (let i = 0; i < out.length && this.playing; i++) {
        if (!this.waiting) { this.playing = false; this.dropouts++; break; }
        out[i] = this.queue[0][this.offset++];
        this.waiting--;
        this.spoken++;
        if (this.offset === this.queue[0].length) { this.queue.shift(); this.offset = 0; }
      }
      return true;
    }
  }
  registerProcessor("live", Live);`;
const TOLD_EVERY = 500;      // ms

const find = (selector) => element.querySelector(selector);
translate(element.querySelectorAll("h2, .hint, .note, .meters span, .others button, .adjust summary, .adjust span"));
const [button, hint, facts, problem, gate] = [".microphone", ".hint", ".facts-line", ".problem", ".gate"].map(find);
const [microphones, outputs, bypass, keep] = [".microphones", ".outputs select", ".bypass", ".keep"].map(find);
const say = (text) => { problem.textContent = text; problem.hidden = !text; };
const voices = voiceCards(find(".voices"), {name: "live-voice", onProblem: say, onChange: change});
const adjust = adjustments(find(".controls"), {onChange: change});
const title = document.title;
let live = null;             // what runs: stream, context, socket and nodes
let kept = null;             // 16-bit blocks of what is heard, while it is recorded
// Seen on the other tabs of the page while this one runs.
const banner = make("button", {type: "button", class: "live-banner", hidden: true, onclick: () => stop()},
  t("Live is still on. Press to stop."));
document.querySelector(".gradio-container").append(banner);

const settings = () => ({voice: voices.chosen().value, ...adjust.values(), gate: gate.checked ? -45 : -70});
const pressed = (toggle) => toggle.getAttribute("aria-pressed") === "true";

function stop(why = "") {
  const ended = live;
  live = window.voiceconvLive = null;
  ended?.stream?.getTracks().forEach((track) => track.stop());
  ended?.socket?.close();
  ended?.context?.close();
  if (kept?.length) saveKept(ended.context.sampleRate);
  kept = null;
  showKept();
  button.classList.remove("on");
  relabel(button, "microphone", t("Start"));
  hint.textContent = t(ended ? "Stopped." : "Press, speak, and hear yourself as somebody else a moment later.");
  banner.hidden = true;
  document.title = title;
  showLevel(find(".in"), 0);
  showLevel(find(".out"), 0);
  say(why);
}

async function start() {
  const mine = live = window.voiceconvLive = {};
  say("");
  facts.textContent = "";
  hint.textContent = t("Opening the microphone …");
  relabel(button, "stop", t("Stop"));
  button.classList.add("on");
  try {
    if (!voices.chosen()) await voices.refresh();   // who is faster than the page
    mine.stream = await openMicrophone(microphones.value);
    const opened = await connect(mine);
    mine.context = new AudioContext({sampleRate: opened.rate, latencyHint: "interactive"});
    for (const code of [PLAYER, COLLECTOR]) {
      await mine.context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
    }
    wire(mine, opened);
    await listDevices();
    if (live !== mine) { mine.stream.getTracks().forEach((track) => track.stop()); mine.socket.close(); mine.context.close(); }
  } catch (error) {
    if (live === mine) stop(error.message);
  }
}

/** Opens the socket; what the server says of itself. */
async function connect(mine) {
  const address = new URL(`live?${new URLSearchParams(settings())}`, ROOT);
  address.protocol = address.protocol.replace("http", "ws");
  mine.socket = new WebSocket(address);
  mine.socket.binaryType = "arraybuffer";
  const opened = await new Promise((resolve, reject) => {
    mine.socket.onmessage = ({data}) => resolve(JSON.parse(data));
    mine.socket.onclose = async () => reject(new Error(await whyClosed()));
  });
  if (opened.error) throw new Error(opened.error);
  return opened;
}

/** The server refuses other pages before it says anything: whether it is that, or nobody is there. */
async function whyClosed() {
  const there = await fetch(new URL("health", ROOT)).then((answer) => answer.status < 600, () => false);
  return there
    ? t("The server refused the live connection. If it is behind a proxy, start it with --origin {origin}, and let the proxy pass WebSockets on.", {origin: location.origin})
    : t(NO_ANSWER);
}

function wire(mine, opened) {
  const {context, socket} = mine;
  const node = new AudioWorkletNode(context, "live", {outputChannelCount: [1]});
  const collector = new AudioWorkletNode(context, "collector", {numberOfOutputs: 0});
  Object.assign(mine, {node, converted: context.createGain(), own: context.createGain(), opened});
  mine.source = context.createMediaStreamSource(mine.stream);
  mine.source.connect(node).connect(mine.converted);
  mine.source.connect(mine.own);
  for (const gain of [mine.converted, mine.own]) { gain.connect(context.destination); gain.connect(collector); }
  hearOwn(pressed(bypass));
  collector.port.onmessage = ({data}) => {
    showLevel(find(".out"), level(data));
    if (!kept) return;
    kept.push(Int16Array.from(data, (sample) => 32767 * Math.max(-1, Math.min(1, sample))));
    showKept(context.sampleRate);
  };
  socket.onclose = () => { if (live === mine) stop(t("The server ended the conversation.")); };
  socket.onmessage = ({data}) => {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (!message.error) Object.assign(opened, message);
      else if (message.fatal === false) say(message.error);
      else stop(message.error);
      return;
    }
    const samples = new Float32Array(data);
    mine.loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), mine.loudest ?? 0);
    node.port.postMessage(samples);
  };
  mine.stream.getTracks()[0].onended = () => { if (live === mine) stop(t("The microphone is gone. Plug it in and start again.")); };
  let told = 0;
  node.port.onmessage = ({data}) => {
    if (live !== mine) return;
    if (socket.readyState === WebSocket.OPEN) socket.send(data.samples.buffer);
    if (performance.now() - told < TOLD_EVERY / 5) return;
    showLevel(find(".in"), level(data.samples));
    if (performance.now() - told < TOLD_EVERY) return;
    told = performance.now();
    report(mine, data);
  };
}

function report(mine, {lag, dropouts}) {
  banner.hidden = element.offsetParent !== null;
  document.title = `● ${title}`;
  if (!mine.opened.learned) { hint.textContent = t("Speak: your pitch is learned from your first words, which stay silent."); return; }
  const device = (mine.context.baseLatency ?? 0) + (mine.context.outputLatency ?? 0);
  hint.textContent = t("You are heard as {name}.", {name: voices.chosen().name});
  mine.before ??= dropouts;    // those of the first words are silence
  const count = dropouts - mine.before;
  facts.textContent = [
    t("Heard {ms} ms later", {ms: Math.round(1000 * (lag + device))}),
    count === 0 ? t("no dropouts") : count === 1 ? t("one dropout") : t("{count} dropouts: the computer is too busy", {count}),
  ].join(" · ");
}

function change() {
  if (live?.socket?.readyState === WebSocket.OPEN) { say(""); live.socket.send(JSON.stringify(settings())); }
}

function hearOwn(own) {
  if (!live?.own) return;
  live.own.gain.value = own ? 1 : 0;
  live.converted.gain.value = own ? 0 : 1;
}

const samplesOf = (blocks) => blocks.reduce((sum, block) => sum + block.length, 0);

/** What the button that records says: how much there is, or what it is for. */
function showKept(rate) {
  const said = kept ? t("Recording {time}. Press to save.", {time: clock(samplesOf(kept) / rate)}) : t("Record what is heard");
  if (keep.textContent !== said) keep.textContent = said;
  keep.setAttribute("aria-pressed", String(kept !== null));
}

function saveKept(rate) {
  const blocks = kept;
  kept = null;
  showKept(rate);
  if (!blocks.length) { say(t("Nothing was recorded yet: it takes a moment until you are heard.")); return; }
  const url = URL.createObjectURL(new Blob([wavHeader(samplesOf(blocks), rate), ...blocks], {type: "audio/wav"}));
  const link = make("a", {href: url, download: `live as ${voices.chosen().name}.wav`, hidden: true});
  element.append(link);
  link.click();
  link.remove();
}

/** Names of devices are only told once the microphone was allowed. */
async function listDevices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const fill = (select, kind) => {
    const before = select.value;
    const found = devices.filter((device) => device.kind === kind && device.deviceId !== "default");
    select.replaceChildren(new Option(t("The system's choice"), ""), ...found.map((device) => new Option(device.label, device.deviceId)));
    select.value = found.some((device) => device.deviceId === before) ? before : "";
  };
  fill(microphones, "audioinput");
  fill(outputs, "audiooutput");
  find(".outputs").hidden = !("setSinkId" in AudioContext.prototype);
}

async function changeMicrophone() {
  const mine = live;
  if (!mine?.source) return;
  try {
    const stream = await openMicrophone(microphones.value);
    mine.stream.getTracks().forEach((track) => track.stop());
    mine.source.disconnect();
    mine.stream = stream;
    mine.source = mine.context.createMediaStreamSource(stream);
    mine.source.connect(mine.node);
    mine.source.connect(mine.own);
  } catch (error) { say(error.message); }
}

button.addEventListener("click", () => (live ? stop() : start()));
gate.addEventListener("change", change);
microphones.addEventListener("change", changeMicrophone);
outputs.addEventListener("change", () => live?.context?.setSinkId(outputs.value).catch((error) => say(error.message)));
bypass.addEventListener("click", () => {
  bypass.setAttribute("aria-pressed", String(!pressed(bypass)));
  hearOwn(pressed(bypass));
});
keep.addEventListener("click", () => {
  if (kept) saveKept(live.context.sampleRate);
  else if (live?.context) { kept = []; showKept(live.context.sampleRate); }
  else say(t("Start first."));
});
const refresh = () => voices.refresh().catch((error) => say(error.message));
window.addEventListener("voiceconv-voices", refresh);
microphones.append(new Option(t("The system's choice"), ""));
relabel(button, "microphone", t("Start"));
refresh();
