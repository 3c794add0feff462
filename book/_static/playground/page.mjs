/** The playground's page: its controls, and what they set in motion. */
import { pictureFiles, zip } from "./archive.mjs";
import { Chart, legend } from "./chart.mjs";
import { Drawings, make } from "./drawings.mjs";
import { frameStrokes } from "./framing.mjs";
import { fromBase64, handwriting, printed, uploaded } from "./given.mjs";
import { Pad, showFrame } from "./pad.mjs";
import { Race } from "./race.mjs";
import { readSafetensors } from "./safetensors.mjs";
import { WAYS } from "./ways.mjs";
import { NAMES, progress, verdict } from "./words.mjs";

const RATES = [0.0001, 0.0003, 0.001, 0.002, 0.003, 0.01, 0.03];
const FROZEN = ["nothing", "block 1", "blocks 1 and 2", "blocks 1 to 3"];
const LEARN_FROM = 5; // examples a class, until the reader moves the slider

const get = (id) => document.getElementById(`pg-${id}`);
const on = (id, action, kind = "click") => get(id).addEventListener(kind, action);
const say = (text) => { get("status").textContent = text; };
const percent = (share) => `${Math.round(100 * share)} %`;

export function start(work, files) {
  const page = { given: 0, question: 0, asked: null, moved: false };
  page.letters = halfPrecision(readSafetensors(fromBase64(files.letters)));
  page.digits = handwriting(files.digits);
  page.chart = new Chart(get("chart"));
  page.race = new Race(work, (way, message) => hear(page, way, message));
  page.cards = makeCards();
  page.drawings = new Drawings(get("classes"), () => page.drawings && showState(page), say);
  page.pad = new Pad(get("pad"), () => showFrame(get("seen"), frameStrokes(page.pad.strokes)));
  page.questionPad = new Pad(get("question"), () => {
    if (page.questionPad.strokes.length) ask(page, frameStrokes(page.questionPad.strokes));
    else forgetQuestion(page);
    get("truth").textContent = "";
  });
  fillMenus(page);
  wireDrawing(page);
  wireLearning(page);
  wireAsking(page);
  wireSaving(page);
  page.pad.clear();
  showState(page);
  document.getElementById("playground").hidden = false;
}

/** The letters net came in half precision, as integers; make numbers of them. */
function halfPrecision(state) {
  const number = (bits) => {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return bits >> 15 ? -size : size;
  };
  return Object.fromEntries(Object.entries(state).map(([name, { data, shape }]) =>
    [name, { data: data instanceof Uint16Array ? Float32Array.from(data, number) : data, shape }]));
}

function fillMenus(page) {
  const group = (label, signs, kind) => {
    const options = make("optgroup", { label });
    options.append(...signs.map((sign) => make("option", { value: kind + sign, textContent: sign })));
    return options;
  };
  get("given").append(
    group("handwritten", page.digits.map((_, digit) => digit), "h"),
    group("printed", [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"], "p"),
  );
  get("rate-tuned").value = RATES.indexOf(WAYS.tuned.rate);
  get("rate-scratch").value = RATES.indexOf(WAYS.scratch.rate);
}

/** Part 1: classes and drawings. */
function wireDrawing(page) {
  const { drawings, pad } = page;
  on("add", () => {
    if (!pad.strokes.length) return say("Draw something first, or add a given picture.");
    drawings.add(frameStrokes(pad.strokes));
    pad.clear();
  });
  on("clear", () => pad.clear());
  on("more", () => drawings.addClass());
  on("empty", () => {
    drawings.start(["A", "B"].map((name) => ({ name, frames: [] })));
    say("All drawings are gone.");
  });
  on("digits", () => {
    drawings.start(page.digits.map((frames, digit) => ({ name: `${digit}`, frames: [...frames] })));
    say(`${page.digits.flat().length} digits that people wrote, ${page.digits.length} classes. Press Learn.`);
  });
  on("give", () => {
    const [kind, sign] = get("given").value, time = page.given++;
    const frame = kind === "h" ? page.digits[sign][time % page.digits[sign].length] : printed(sign, time);
    drawings.add(frame);
  });
  on("files", async ({ target }) => {
    const results = await Promise.allSettled([...target.files].map(uploaded));
    const frames = results.filter(({ value }) => value).map(({ value }) => value);
    if (frames.length) drawings.add(...frames);
    if (frames.length < results.length) say(`${results.length - frames.length} files are no pictures that this browser can read.`);
    target.value = "";
  }, "change");
}

/** Part 2: settings and the race. */
function wireLearning(page) {
  const { race } = page;
  on("each", () => { page.moved = true; showState(page); }, "input");
  for (const id of ["depth", "rate-tuned", "rate-scratch"]) on(id, () => showState(page), "input");
  on("learn", () => {
    const classes = page.drawings.classes.length, names = page.drawings.names();
    const task = page.drawings.part(Number(get("each").value));
    const job = { classes, names, task, letters: page.letters, seed: Math.max(0, Math.trunc(get("seed").valueAsNumber) || 0) };
    page.held = task.heldOut;
    page.chart.clear();
    race.start(job, Number(get("depth").value), {
      tuned: RATES[get("rate-tuned").value],
      scratch: RATES[get("rate-scratch").value],
    });
    say(`Three nets learn from ${task.pictures.length} drawings of ${classes} classes; ${task.heldOut.pictures.length} are held out.`);
    showState(page);
    if (page.asked) ask(page, page.asked);
  });
  on("stop", () => {
    race.stop();
    say("Stopped. The nets answer with what they have learned so far.");
    showState(page);
  });
}

/** Hear what a worker says of its net. */
function hear(page, way, message) {
  const known = page.race.known[way];
  if (message.kind === "answer") return showAnswer(page, way, message);
  if (message.kind === "saved") return download(message.file, "tuned.safetensors");
  const { heldOut } = message;
  if (heldOut?.of) page.chart.add(way, message.update, heldOut.right / heldOut.of);
  if (message.done || message.kind === "failed") showState(page);
  if (page.asked && (heldOut || message.done)) ask(page, page.asked);
  showCard(page, way, known);
  if (message.done && page.race.isOver) say(verdict(page.race.known));
}

/** Show what can be done now, and the values of the settings. */
function showState(page) {
  const { drawings, race } = page, fewest = drawings.fewest(), each = get("each");
  each.max = Math.max(1, fewest);
  each.disabled = fewest < 2;
  if (!page.moved) each.value = Math.max(1, Math.min(LEARN_FROM, Math.ceil(fewest / 2)));
  get("each-value").textContent = `${each.value}${fewest > 1 ? ` of ${fewest}` : ""}`;
  get("depth-value").textContent = FROZEN[get("depth").value];
  for (const id of ["rate-tuned", "rate-scratch"]) {
    get(`${id}-value`).textContent = RATES[get(id).value];
    get(id).setAttribute("aria-valuetext", RATES[get(id).value]);
  }
  get("depth").setAttribute("aria-valuetext", FROZEN[get("depth").value]);
  get("target").textContent = drawings.classes[drawings.chosen].name;
  get("more").disabled = drawings.isFull;
  get("learn").disabled = fewest < 1;
  get("stop").disabled = !race.isRunning;
  get("held").disabled = !race.hasLearned || !page.held.pictures.length;
  get("save-net").disabled = !race.hasLearned;
  get("save-drawings").disabled = fewest < 1;
  for (const [way, known] of Object.entries(race.known)) showCard(page, way, known);
  const shares = Object.entries(race.known).filter(([, { score }]) => score?.of);
  if (shares.length) {
    const parts = shares.map(([way, { score }]) => `${NAMES[way]}: ${score.right} of ${score.of}`);
    get("chart").setAttribute("aria-label", `Curves of held-out drawings read rightly. ${parts.join("; ")}.`);
  }
}

function makeCards() {
  return Object.fromEntries(Object.entries(NAMES).map(([way, name]) => {
    const card = { score: make("p", { className: "pg-score", textContent: "–" }), line: make("p", { className: "pg-small" }) };
    const title = make("p", { className: "pg-name", textContent: name });
    title.prepend(legend(way));
    const box = make("div", { className: `pg-card pg-${way}` });
    box.append(title, card.score, card.line);
    get("nets").append(box);
    const answer = make("div", { className: `pg-card pg-${way}` }), again = title.cloneNode(true);
    card.answer = make("p", { className: "pg-score", textContent: "–" });
    card.bars = make("div", { className: "pg-bars" });
    answer.append(again, card.answer, card.bars);
    get("answers").append(answer);
    return [way, card];
  }));
}

function showCard(page, way, known) {
  const { score, line } = page.cards[way];
  score.textContent = known.score?.of ? `${known.score.right} of ${known.score.of}` : "–";
  line.textContent = progress(known);
}

/** Part 3: a new drawing, and what the three nets take it for. */
function wireAsking(page) {
  on("wipe", () => page.questionPad.clear());
  on("held", () => {
    const { pictures, labels } = page.held, place = (page.place = ((page.place ?? -1) + 1) % pictures.length);
    page.questionPad.show(pictures[place]);
    get("truth").textContent = `Held out: ${page.race.known.tuned.names[labels[place]]}`;
    ask(page, pictures[place]);
  });
}

function forgetQuestion(page) {
  page.asked = null;
  page.question++;
  get("said").textContent = "";
  for (const { answer, bars } of Object.values(page.cards)) {
    answer.textContent = "–";
    bars.replaceChildren();
  }
}

function ask(page, picture) {
  page.asked = picture;
  page.question++;
  page.answers = [];
  if (page.race.hasLearned) page.race.ask(picture, page.question);
  else get("said").textContent = "No net has learned yet. Press Learn first.";
}

function showAnswer(page, way, { question, chances }) {
  if (question !== page.question) return;
  const { answer, bars } = page.cards[way], { names } = page.race.known[way];
  const order = [...chances.keys()].sort((a, b) => chances[b] - chances[a]);
  answer.textContent = `${names[order[0]]}, ${percent(chances[order[0]])}`;
  bars.replaceChildren(...order.slice(0, 3).map((k) => {
    const row = make("div", { className: "pg-bar" }), bar = make("span", {});
    bar.style.width = `${100 * chances[k]}%`;
    row.append(make("span", { textContent: names[k] }), bar, make("span", { textContent: percent(chances[k]) }));
    return row;
  }));
  page.answers.push(`${NAMES[way]}: ${answer.textContent}`);
  if (page.answers.length === 3 && !page.race.isRunning) get("said").textContent = `${page.answers.join(". ")}.`;
}

/** Part 4: files. */
function wireSaving(page) {
  on("save-net", () => page.race.save("tuned"));
  on("save-drawings", () => {
    const each = Number(get("each").value);
    const classes = page.drawings.classes.map(({ name, frames }) =>
      ({ name, pictures: frames.slice(0, each), heldOut: frames.slice(each) }));
    download(zip(pictureFiles(classes)), "drawings.zip");
  });
}

function download(bytes, name) {
  const link = make("a", { href: URL.createObjectURL(new Blob([bytes])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
