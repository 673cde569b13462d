// Shared by the scripts of the page: words, requests to the server, the microphone, and players that stop each other.

const ROOT = new URL(location.pathname.replace(/\/?$/, "/"), location.origin);
const API = new URL("gradio_api/", ROOT);

/** The text in the visitor's language; `{name}` is replaced by `values.name`. */
function t(text, values = {}) {
  const words = window.gradio_config?.i18n_translations ?? {};
  const known = (language) => Object.keys(words).find((each) => each.split("-")[0] === language.split("-")[0]);
  const language = navigator.languages.find((each) => each.startsWith("en") || known(each)) ?? "en";
  return (words[known(language)]?.[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function translate(elements) {
  for (const each of elements) each.textContent = t(each.textContent);
}

/** Translates what the server wrote as HTML and its messages, now and whenever they come. */
function translateSaid() {
  for (const each of document.querySelectorAll("[data-said]")) {
    const {said, values} = each.dataset;
    each.removeAttribute("data-said");
    each.textContent = t(said || each.textContent, JSON.parse(values ?? "{}"));
  }
  for (const message of document.querySelectorAll(".toast-message-text")) {
    const translation = t(message.textContent);
    if (translation !== message.textContent) message.textContent = translation;
  }
}
window.voiceconvSaid ??= new MutationObserver(translateSaid);
window.voiceconvSaid.observe(document.body, {childList: true, subtree: true});
translateSaid();

/** An HTML element with attributes and children; texts are never read as HTML. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zm8 0h4v14h-4z",
  stop: "M6 6h12v12H6z",
  microphone: "M12 15a4 4 0 0 0 4-4V6a4 4 0 0 0-8 0v5a4 4 0 0 0 4 4zm7-4a7 7 0 0 1-6 6.9V21h-2v-3.1A7 7 0 0 1 5 11h2a5 5 0 0 0 10 0z",
};

function icon(name) {
  const holder = document.createElement("span");
  holder.className = "icon";
  holder.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path fill="currentColor" d="${ICONS[name]}"/></svg>`;
  return holder;
}

/** Puts a new icon and label on a button that has only an icon. */
function relabel(button, iconName, label) {
  button.replaceChildren(icon(iconName));
  button.setAttribute("aria-label", label);
  button.title = label;
}

const clock = (seconds) =>
  Number.isFinite(seconds) ? `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}` : "0:00";

const fileAt = (path) => String(new URL(`file=${encodeURI(path).replace(/[?#]/g, encodeURIComponent)}`, API));
const asFile = (path) => path && ({path, meta: {_type: "gradio.FileData"}});
/** A message of the server, which is escaped for pages that read it as HTML. */
const unescaped = (text) => new DOMParser().parseFromString(text, "text/html").documentElement.textContent;
const NO_ANSWER = "The server does not answer. Is the program still running?";

async function post(url, body, signal, headers = {}) {
  let response;
  try {
    response = await fetch(url, {method: "POST", body, signal, headers});
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(t(NO_ANSWER));
  }
  if (response.ok) return response.json();
  const said = await response.text();
  let detail = said;
  try { detail = JSON.parse(said).detail ?? said; } catch { /* plain text */ }
  if (response.status === 413) detail = t("This file is too large for the page. Cut it, or convert it in a terminal.");
  throw new Error(typeof detail === "string" && detail ? detail : t("The server refused this ({status}).", {status: response.status}));
}

/** Puts a file on the server; what requests then name it by. */
async function upload(file, signal) {
  const form = new FormData();
  form.append("files", file, file.name);
  return (await post(new URL("upload", API), form, signal))[0];
}

/** Asks one of the server's functions; `onStep` gets what it says before it has finished. */
async function ask(name, data, {signal, onStep} = {}) {
  const {event_id: id} = await post(new URL(`call/${name}`, API), JSON.stringify({data}), signal,
    {"Content-Type": "application/json"});
  return new Promise((resolve, reject) => {
    const events = new EventSource(new URL(`call/${name}/${id}`, API));
    const end = (finish, value) => { events.close(); finish(value); };
    signal?.addEventListener("abort", () => end(reject, new DOMException("abandoned", "AbortError")));
    events.addEventListener("generating", ({data: said}) => onStep?.(JSON.parse(said)));
    events.addEventListener("complete", ({data: said}) => end(resolve, JSON.parse(said)));
    events.addEventListener("error", ({data: said}) => {
      const problem = said && JSON.parse(said);
      end(reject, new Error(unescaped(problem?.error ?? t(NO_ANSWER))));
    });
  });
}

/** Opens the microphone, or says what is in the way and what helps. */
async function openMicrophone(device = "") {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(t("Browsers give the microphone only to secure pages. Open this page on the computer that runs it, or start the program with --https and open the address it prints."));
  }
  const audio = {channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  if (device) audio.deviceId = {exact: device};
  try {
    return await navigator.mediaDevices.getUserMedia({audio});
  } catch (error) {
    const why = {
      NotAllowedError: "The microphone is blocked. Click the symbol beside the address of this page, allow the microphone, and try again.",
      NotFoundError: "There is no microphone. Plug one in, or upload a file.",
      OverconstrainedError: "This microphone is no longer there. Choose another one.",
      NotReadableError: "Another program is using the microphone. Close it (a call, perhaps) and try again.",
    }[error.name];
    throw new Error(why ? t(why) : `${t("The microphone does not open.")} ${error.message}`);
  }
}

/** Loudness of samples as a share of a meter: 0 at -60 dB, 1 at full scale. */
function level(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.max(0, Math.min(1, 1 + 10 * Math.log10(sum / samples.length + 1e-9) / 60));
}

function showLevel(meter, value) {
  meter.style.setProperty("--level", value.toFixed(3));
  meter.setAttribute("aria-valuenow", Math.round(100 * value));
}

// One player stops the others.
window.voiceconvPlayers ??= (document.addEventListener("play", ({target}) => {
  for (const other of document.querySelectorAll("audio")) if (other !== target) other.pause();
}, true), true);
