// One result: the recording and its conversion in one player, switched at the same position in time.

const FORMATS = ["WAV", "FLAC", "MP3"];

/** `result` holds title, voice, source (a URL), path, sourcePath, value, seconds, and in words what was asked and noticed. */
function resultPlayer(result) {
  const you = make("audio", {src: result.source, preload: "auto"});
  const them = make("audio", {src: fileAt(result.path), preload: "auto"});
  let heard = them;
  const button = make("button", {type: "button", class: "play"});
  const seek = make("input", {type: "range", min: 0, max: result.seconds, step: 0.01, value: 0, "aria-label": t("Position")});
  const time = make("span", {class: "time"}, `0:00 / ${clock(result.seconds)}`);
  const problem = make("p", {class: "problem", role: "alert", hidden: true});
  const say = (text) => { problem.textContent = text; problem.hidden = !text; };

  const state = () => relabel(button, heard.paused ? "play" : "pause", heard.paused ? t("Play") : t("Pause"));
  const move = () => {
    seek.value = heard.currentTime;
    time.textContent = `${clock(heard.currentTime)} / ${clock(result.seconds)}`;
  };
  for (const each of [you, them]) {
    for (const event of ["play", "pause", "ended"]) each.addEventListener(event, state);
    each.addEventListener("timeupdate", () => { if (each === heard) move(); });
  }
  you.addEventListener("error", () => { switches[0].disabled = true; switches[0].title = t("This browser cannot play the file."); });
  them.addEventListener("error", () => say(t("This result is no longer on the server. Convert again.")));
  button.addEventListener("click", () => (heard.paused ? heard.play() : heard.pause()));
  seek.addEventListener("input", () => { heard.currentTime = seek.value; move(); });

  function hear(which) {
    if (which === heard) return;
    const running = !heard.paused;
    which.currentTime = heard.currentTime;
    heard.pause();
    heard = which;
    switches.forEach((each, i) => each.setAttribute("aria-pressed", [you, them][i] === heard));
    if (running) heard.play();
    state();
  }
  const switches = [[you, t("You")], [them, result.voice]].map(([which, label]) =>
    make("button", {type: "button", "aria-pressed": String(which === heard), onclick: () => hear(which)}, label));

  async function download(format) {
    say("");
    try {
      const [file] = await ask("download", [asFile(result.path), format]);
      const link = make("a", {href: fileAt(file.path), download: "", hidden: true});
      article.append(link);
      link.click();
      link.remove();
    } catch (error) { say(error.message); }
  }
  const details = make("details", {class: "more"}, make("summary", {}, t("Details")));
  details.addEventListener("toggle", async () => {
    if (!details.open || details.children.length > 1) return;
    const body = make("div", {class: "body"}, t("Measuring …"));
    details.append(body);
    try {
      const [facts] = await ask("details", [asFile(result.sourcePath), asFile(result.path), result.value]);
      body.innerHTML = facts.html;   // escaped by the server
    } catch (error) { body.textContent = error.message; }
  });

  const facts = [result.seconds < 60 ? `${result.seconds.toFixed(1)} s` : clock(result.seconds), ...result.asked];
  const article = make("article", {class: "result", "aria-label": result.title},
    make("h3", {}, result.title, make("small", {}, facts.join(" · "))),
    ...result.notes.map((note) => make("p", {class: "noticed"}, `⚠ ${t(note)}`)),
    make("div", {class: "player"}, button, seek, time),
    make("div", {class: "row"},
      make("div", {class: "switch", role: "group", "aria-label": t("Hear")}, ...switches),
      make("div", {class: "downloads"}, t("Download"), ...FORMATS.map((format) =>
        make("button", {type: "button", onclick: () => download(format)}, format)))),
    problem, details, you, them);
  state();
  return {article, play: () => them.play().catch(() => {}), pause: () => { you.pause(); them.pause(); }};
}
