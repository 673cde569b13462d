// The voices as cards: radio buttons, so that arrow keys move between them, each with a button to hear the speaker.

const SEARCH_FROM = 9;
const MARKS = ["", "weak", "fair", "good"];
const MARK_NAMES = {voice: "Voice", words: "Words", sound: "Sound"};

/** A colour that is the speaker's own: the same on every visit. */
function hueOf(name) {
  return [...name].reduce((hash, letter) => (hash * 31 + letter.codePointAt(0)) % 360, 7);
}

/** Fills `place` and returns `{chosen(), refresh()}`; `onChange(card)` is called when the visitor chooses. */
function voiceCards(place, {name, onChange = () => {}, onProblem = () => {}}) {
  const search = make("input", {type: "search", placeholder: t("Find a voice"), "aria-label": t("Find a voice"), hidden: true});
  const groups = make("div", {class: "groups"});
  const player = make("audio");
  place.append(search, groups, player);
  let cards = [];
  let value = "";
  let playing = null;   // the button whose clip is heard
  const heard = {};     // how often a speaker was played: the next time, the next clip

  const quiet = () => {
    if (playing) relabel(playing, "play", playing.dataset.label);
    playing = null;
  };
  player.addEventListener("pause", quiet);
  player.addEventListener("ended", quiet);

  async function hear(card, button) {
    const again = playing === button;
    player.pause();
    quiet();
    if (again) return;
    playing = button;
    relabel(button, "stop", t("Stop"));
    try {
      const number = heard[card.value] = ((heard[card.value] ?? -1) + 1) % card.clips;
      const [clip] = await ask("clip", [card.value, number]);
      if (playing !== button) return;
      player.src = fileAt(clip.path);
      await player.play();
    } catch (error) {
      if (error.name !== "AbortError") { quiet(); onProblem(error.message); }
    }
  }

  function cardOf(card) {
    const label = t("Hear {name}", {name: card.name});
    const button = make("button", {type: "button", class: "hear", "data-label": label, "aria-label": label, title: label}, icon("play"));
    button.addEventListener("click", () => hear(card, button));
    const marks = Object.entries(card.marks).map(([key, mark]) =>
      make("span", {class: `mark mark-${mark}`, title: `${t(MARK_NAMES[key])}: ${t(MARKS[mark])}`}, t(MARK_NAMES[key]),
        make("i", {"aria-hidden": "true"}), make("span", {class: "sr"}, `: ${t(MARKS[mark])}. `)));
    const input = make("input", {type: "radio", name, value: card.value, "aria-label": [card.name, card.who && t(card.who)].filter(Boolean).join(", ")});
    input.addEventListener("change", () => { value = card.value; onChange(card); });
    const portrait = make("span", {class: "portrait", style: `--hue: ${hueOf(card.name)}`, "aria-hidden": "true"}, [...card.name][0]);
    return make("div", {class: "card", title: card.about}, input, portrait,
      make("div", {class: "who"}, make("strong", {}, card.name), make("small", {}, card.who && t(card.who)),
        make("div", {class: "marks"}, ...(marks.length ? marks : [make("span", {class: "mark"}, t("Not measured yet"))]))),
      card.clips ? button : "",
      card.warning ? make("p", {class: "warning"}, `⚠ ${t(card.warning)}`) : "");
  }

  function show() {
    const asked = search.value.trim().toLowerCase();
    const seen = cards.filter((card) => `${card.name} ${card.who} ${card.about}`.toLowerCase().includes(asked));
    const names = [...new Set(seen.map((card) => card.group))];
    groups.replaceChildren(...names.map((group) => make("fieldset", {}, make("legend", {}, t(group)),
      make("div", {class: "cards"}, ...seen.filter((card) => card.group === group).map(cardOf)))));
    if (!seen.length) groups.append(make("p", {}, t("No voice is called that.")));
    for (const input of groups.querySelectorAll("input")) {
      input.checked = input.value === value;
      // On a phone the cards are a strip, in which the chosen one must be seen.
      if (input.checked) groups.scrollLeft = input.parentElement.offsetLeft - groups.offsetLeft - 16;
    }
  }

  search.addEventListener("input", show);
  return {
    chosen: () => cards.find((card) => card.value === value),
    all: () => cards,
    async choose(asked) {
      await this.refresh();
      value = asked;
      search.value = "";
      show();
    },
    async refresh() {
      const [found] = await ask("voices", []);
      if (JSON.stringify(found.cards) !== JSON.stringify(cards)) {
        cards = found.cards;
        if (!cards.some((card) => card.value === value)) value = found.chosen;
        search.hidden = cards.length < SEARCH_FROM;
        show();
      }
      return found;
    },
  };
}
