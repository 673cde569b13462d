// What one may ask of a conversion beside the voice, as sliders; the names are those of the server's `Controls`.

const signed = (value) => (value > 0 ? `+${value}` : String(value).replace("-", "−"));
const percent = (value) => value.toLocaleString(undefined, {style: "percent"});
const SLIDERS = [
  {name: "pitch", label: "Pitch", low: -12, high: 12, step: 0.5, usual: 0, ends: ["lower", "higher"], show: signed},
  {name: "formants", label: "Formants", low: -4, high: 4, step: 0.5, usual: 0, ends: ["a larger throat", "a smaller one"], show: signed},
  {name: "strength", label: "Strength", low: 0, high: 1, step: 0.05, usual: 1, ends: ["your own voice", "the other one"], show: percent},
  {name: "melody", label: "Melody", low: 0, high: 1, step: 0.05, usual: 1, ends: ["on one note", "as you spoke"], show: percent},
];

/** Fills `place`. `values()` is what is asked for, `told(values)` what of that is unusual, in words. */
function adjustments(place, {onChange, denoise = false}) {
  const rows = SLIDERS.map((slider) => {
    const {name, label, low, high, step, usual, ends, show} = slider;
    const input = make("input", {type: "range", class: name, min: low, max: high, step, value: usual, "aria-label": t(label)});
    const output = make("output", {}, show(usual));
    const showNow = () => { output.textContent = show(Number(input.value)); input.setAttribute("aria-valuetext", output.textContent); };
    input.addEventListener("input", showNow);
    input.addEventListener("change", onChange);
    const row = make("label", {}, make("span", {}, t(label)), " ", output, input,
      make("small", {class: "ends", "aria-hidden": "true"}, make("span", {}, t(ends[0])), make("span", {}, t(ends[1]))));
    return {...slider, input, row, showNow};
  });
  const box = make("input", {type: "checkbox", class: "denoise"});
  box.addEventListener("change", onChange);
  place.append(...rows.map(({row}) => row));
  if (denoise) place.append(make("label", {class: "check"}, box, " ", t("Remove background noise")));
  return {
    values: () => ({...Object.fromEntries(rows.map(({name, input}) => [name, Number(input.value)])), ...(denoise && {denoise: box.checked})}),
    told: (values) => [
      ...rows.filter(({name, usual}) => values[name] !== usual).map(({name, label, show}) => `${t(label)} ${show(values[name])}`),
      ...(values.denoise ? [t("without noise")] : []),
    ],
    reset() {
      for (const {input, usual, showNow} of rows) { input.value = usual; showNow(); }
      box.checked = false;
    },
  };
}
