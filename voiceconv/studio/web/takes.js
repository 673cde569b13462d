// Records a speaker to train on: sentences to read, and a counter of minutes.

// From the Harvard sentences (IEEE, 1969), which hold the sounds of English as often as speech does.
const PAGES = [
  ["The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.", "It's easy to tell the depth of a well.", "These days a chicken leg is a rare dish.", "Rice is often served in round bowls.", "The juice of lemons makes fine punch.", "The box was thrown beside the parked truck.", "The hogs were fed chopped corn and garbage.", "Four hours of steady work faced us.", "A large size in stockings is hard to sell."],
  ["The boy was there when the sun rose.", "A rod is used to catch pink salmon.", "The source of the huge river is the clear spring.", "Kick the ball straight and follow through.", "Help the woman get back to her feet.", "A pot of tea helps to pass the evening.", "Smoky fires lack flame and heat.", "The soft cushion broke the man's fall.", "The salt breeze came across from the sea.", "The girl at the booth sold fifty bonds."],
  ["The small pup gnawed a hole in the sock.", "The fish twisted and turned on the bent hook.", "Press the pants and sew a button on the vest.", "The swan dive was far short of perfect.", "The beauty of the view stunned the young boy.", "Two blue fish swam in the tank.", "Her purse was full of useless trash.", "The colt reared and threw the tall rider.", "It snowed, rained, and hailed the same morning.", "Read verse out loud for pleasure."],
  ["Hoist the load to your left shoulder.", "Take the winding path to reach the lake.", "Note closely the size of the gas tank.", "Wipe the grease off his dirty face.", "Mend the coat before you go out.", "The wrist was badly strained and hung limp.", "The stray cat gave birth to kittens.", "The young girl gave no clear response.", "The meal was cooked before the bell rang.", "What joy there is in living."],
];

const find = (selector) => element.querySelector(selector);
const [button, undo, counter, meter, problem] = [".take", ".undo", ".counter", ".level", ".problem"].map(find);
// Where Gradio looks for what was recorded: a hidden textbox.
const box = () => document.querySelector(`#${props.box} textarea, #${props.box} input`);
translate(element.querySelectorAll(".takes > p:first-child, .take, .undo"));
const takes = [];          // {path, seconds}
let recording = null;
let seconds = 0;           // of the recording under way

const say = (text) => { problem.textContent = text; problem.hidden = !text; };
function showPage() {
  find(".sentences").replaceChildren(...PAGES[takes.length % PAGES.length].map((sentence) => make("li", {}, sentence)));
}
function count() {
  counter.textContent = clock(takes.reduce((sum, take) => sum + take.seconds, seconds));
}
function tell() {
  box().value = JSON.stringify(takes.map((take) => take.path));
  box().dispatchEvent(new Event("input", {bubbles: true}));
  undo.disabled = !takes.length;
  seconds = 0;
  count();
  showPage();
}

async function toggle() {
  say("");
  button.disabled = true;
  try {
    if (!recording) {
      recording = await record((samples, so_far) => { seconds = so_far; showLevel(meter, level(samples)); count(); }, toggle);
      button.textContent = t("Stop");
    } else {
      const ended = recording;
      recording = null;
      button.textContent = t("Record");
      showLevel(meter, 0);
      const file = await ended.finish();
      takes.push({path: await upload(new File([file], `take ${takes.length + 1}.wav`)), seconds});
      tell();
    }
  } catch (error) { say(error.message); }
  button.disabled = false;
}

button.addEventListener("click", toggle);
undo.addEventListener("click", () => { takes.pop(); tell(); });
showPage();
