/** Curves that grow: the share of held-out drawings read rightly, against the updates. */
const HEIGHT = 260, NARROWEST = 280, LEFT = 46, RIGHT = 14, TOP = 12, BOTTOM = 40;
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = { // around (0, 0); each net has a shape, a line and a colour of its own
  scratch: "M0-6L1.8-1.9 6-1.9 2.6.8 3.8 5 0 2.5-3.8 5-2.6.8-6-1.9-1.8-1.9Z",
  frozen: "M-4.5 0A4.5 4.5 0 1 0 4.5 0 4.5 4.5 0 1 0-4.5 0Z",
  tuned: "M-4-4H4V4H-4Z",
};

export class Chart {
  constructor(svg) {
    Object.assign(this, { svg, width: 640 });
    this.clear();
    new ResizeObserver(() => {
      this.width = Math.max(NARROWEST, svg.clientWidth); // a unit is a pixel: text stays legible
      this.draw();
    }).observe(svg);
  }

  clear() {
    this.points = Object.fromEntries(Object.keys(SHAPES).map((way) => [way, []]));
    this.draw();
  }

  add(way, update, share) {
    this.points[way].push([update, share]);
    this.draw();
  }

  draw() {
    const last = Math.max(64, ...Object.values(this.points).flat().map(([update]) => update));
    const { width } = this, x = (update) => LEFT + (Math.log2(update) / Math.log2(last)) * (width - LEFT - RIGHT);
    const y = (share) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
    const parts = [...axes(x, y, last, width)];
    for (const [way, points] of Object.entries(this.points)) {
      if (!points.length) continue;
      const path = points.map(([update, share]) => `${x(update).toFixed(1)} ${y(share).toFixed(1)}`);
      parts.push(element("path", { class: `pg-line pg-${way}`, d: `M${path.join("L")}` }));
      points.forEach((_, i) => parts.push(mark(way, path[i].replace(" ", ","))));
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
  }
}

/** The mark of a net, as the legend shows it. */
export function legend(way) {
  const svg = element("svg", { viewBox: "0 0 34 14", class: "pg-legend", "aria-hidden": "true" });
  svg.append(element("path", { class: `pg-line pg-${way}`, d: "M0 7H34" }), mark(way, "17,7"));
  return svg;
}

function* axes(x, y, last, width) {
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    yield element("path", { class: "pg-grid", d: `M${LEFT} ${y(share)}H${width - RIGHT}` });
    yield text(`${100 * share} %`, { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" });
  }
  for (let update = 1; update <= last; update *= 4) {
    yield text(update.toLocaleString("en"), { x: x(update), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" });
  }
  yield text("updates", { x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" });
}

function mark(way, at) {
  return element("path", { class: `pg-mark pg-${way}`, d: SHAPES[way], transform: `translate(${at})` });
}

function text(content, attributes) {
  const node = element("text", attributes);
  node.textContent = content;
  return node;
}

function element(kind, attributes) {
  const node = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
