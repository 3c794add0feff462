/** A square to draw on, by mouse, pen or finger. It keeps lines of points, not pixels. */
const LINE = 0.075; // of the side

export class Pad {
  /** `changed` is called when a line ends and when the pad is cleared. */
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, strokes: [], pointer: null });
    const on = (kind, action) => canvas.addEventListener(kind, action);
    on("pointerdown", (event) => this.begin(event));
    on("pointermove", (event) => this.follow(event));
    for (const kind of ["pointerup", "pointercancel"]) on(kind, (event) => this.end(event));
  }

  begin(event) {
    if (this.pointer !== null || event.button > 0) return;
    event.preventDefault();
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push([this.point(event)]);
    this.draw();
  }

  follow(event) {
    if (event.pointerId !== this.pointer) return;
    const seen = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1).push(...(seen.length ? seen : [event]).map((one) => this.point(one)));
    this.draw();
  }

  end(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.changed();
  }

  /** Where an event is, in parts of the side. */
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  clear() {
    this.strokes = [];
    this.draw();
    this.changed();
  }

  /** Show a frame instead of lines. */
  show(frame) {
    const small = document.createElement("canvas"), side = this.canvas.width;
    showFrame(small, frame);
    this.clear();
    this.canvas.getContext("2d").drawImage(small, 0, 0, side, side);
  }

  draw() {
    const { canvas } = this, context = canvas.getContext("2d"), side = canvas.width;
    context.clearRect(0, 0, side, side);
    Object.assign(context, { lineWidth: LINE * side, lineCap: "round", lineJoin: "round", strokeStyle: "#222" });
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(stroke[0][0] * side, stroke[0][1] * side);
      for (const [x, y] of stroke) context.lineTo(x * side, y * side + 0.01); // a dot is a line, too
      context.stroke();
    }
  }
}

/** Show a frame, ink dark on paper, in a canvas of its size. */
export function showFrame(canvas, frame) {
  canvas.width = canvas.height = Math.sqrt(frame.length);
  const image = new ImageData(canvas.width, canvas.height);
  frame.forEach((ink, at) => {
    const level = 255 - 221 * ink;
    image.data.set([level, level, level, 255], 4 * at);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
