/** The reader's classes and drawings, and the list that shows them. */
import { showFrame } from "./pad.mjs";

const MOST_CLASSES = 10;

export class Drawings {
  /** `changed` is called after each change, `say` with what a change means in words. */
  constructor(list, changed, say) {
    Object.assign(this, { list, changed, say });
    this.start([{ name: "A", frames: [] }, { name: "B", frames: [] }]);
  }

  start(classes) {
    this.classes = classes;
    this.chosen = 0;
    this.show();
  }

  add(...frames) {
    const { name, frames: own } = this.classes[this.chosen];
    own.push(...frames);
    this.show();
    this.say(`${own.length} ${own.length === 1 ? "drawing" : "drawings"} of ${name}.`);
  }

  addClass() {
    const free = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].find((letter) => !this.names().includes(letter));
    this.classes.push({ name: free, frames: [] });
    this.chosen = this.classes.length - 1;
    this.show();
    this.list.querySelectorAll("input[type=text]")[this.chosen].select();
  }

  names() {
    return this.classes.map(({ name }) => name);
  }

  get isFull() {
    return this.classes.length >= MOST_CLASSES;
  }

  /** The number of drawings of the class that has fewest. */
  fewest() {
    return Math.min(...this.classes.map(({ frames }) => frames.length));
  }

  /** Part the drawings: the first `each` of a class to learn from, the others held out. */
  part(each) {
    const side = (from, to) => {
      const pictures = this.classes.map(({ frames }) => frames.slice(from, to));
      return { pictures: pictures.flat(), labels: pictures.flatMap((own, k) => own.map(() => k)) };
    };
    return { ...side(0, each), heldOut: side(each, undefined) };
  }

  show() {
    const legend = this.list.querySelector("legend");
    this.list.replaceChildren(legend, ...this.classes.map((one, k) => this.row(one, k)));
    this.changed();
  }

  row({ name, frames }, k) {
    const row = make("div", { className: "pg-class" });
    const radio = make("input", { type: "radio", name: "pg-class", checked: k === this.chosen });
    radio.setAttribute("aria-label", `Draw for class ${k + 1}, ${name}`);
    radio.addEventListener("change", () => { this.chosen = k; this.changed(); });
    const text = make("input", { type: "text", value: name, maxLength: 16, autocomplete: "off" });
    text.setAttribute("aria-label", `Name of class ${k + 1}`);
    text.addEventListener("focus", () => { radio.checked = true; this.chosen = k; this.changed(); });
    text.addEventListener("change", () => {
      this.classes[k].name = text.value = text.value.trim() || name;
      this.changed();
    });
    const pictures = make("div", { className: "pg-pictures" });
    pictures.append(...frames.map((frame, i) => this.thumbnail(frame, k, i)));
    const away = this.button("×", `Remove class ${name}`, () => {
      this.classes.splice(k, 1);
      this.chosen = Math.min(this.chosen, this.classes.length - 1);
      this.say(`Class ${name} is gone.`);
    });
    away.disabled = this.classes.length <= 2;
    row.append(radio, text, pictures, away);
    return row;
  }

  thumbnail(frame, k, i) {
    const label = `Remove drawing ${i + 1} of ${this.classes[k].name}`;
    const button = this.button("", label, () => {
      this.classes[k].frames.splice(i, 1);
      this.say(`Drawing ${i + 1} of ${this.classes[k].name} is gone.`);
    });
    button.title = label;
    const canvas = make("canvas", {});
    showFrame(canvas, frame);
    button.append(canvas);
    return button;
  }

  button(content, label, action) {
    const button = make("button", { type: "button", textContent: content });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => {
      action();
      this.show();
      this.list.querySelector("input:checked")?.focus(); // the button is gone
    });
    return button;
  }
}

/** Make an element with these properties. */
export function make(kind, properties) {
  return Object.assign(document.createElement(kind), properties);
}
