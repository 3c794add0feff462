/**
 * Drawings in the frame that the letters net was trained in: ink 1 on paper 0, 32 pixels a side,
 * the ink's longer side BOX pixels and its middle in the middle, lines PEN pixels wide. A drawing
 * that is smaller, thinner or in a corner is another domain, and less would transfer.
 */
const SIDE_OF_FRAME = 32, BOX = 24, PEN = 2.8;
const INK = 0.1; // paler is paper

/** Draw lines of points [x, y], in any unit, into the frame. */
export function frameStrokes(strokes) {
  const frame = new Float32Array(SIDE_OF_FRAME ** 2);
  const points = strokes.flat();
  if (!points.length) return frame;
  const [left, right] = range(points.map(([x]) => x)), [top, bottom] = range(points.map(([, y]) => y));
  const zoom = (BOX - PEN) / Math.max(right - left, bottom - top, 1e-6);
  const place = ([x, y]) => [
    SIDE_OF_FRAME / 2 + (x - (left + right) / 2) * zoom,
    SIDE_OF_FRAME / 2 + (y - (top + bottom) / 2) * zoom,
  ];
  for (const stroke of strokes) {
    const line = stroke.map(place);
    for (let i = 0; i < line.length; i++) drawLine(frame, line[Math.max(0, i - 1)], line[i]);
  }
  return frame;
}

/** Ink each pixel by how near its centre is to the line from one point to another. */
function drawLine(frame, [x0, y0], [x1, y1]) {
  const dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy, reach = PEN / 2 + 1;
  const pixels = (a, b) => [
    Math.max(0, Math.floor(Math.min(a, b) - reach)),
    Math.min(SIDE_OF_FRAME - 1, Math.ceil(Math.max(a, b) + reach)),
  ];
  const [left, right] = pixels(x0, x1), [top, bottom] = pixels(y0, y1);
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const x = column + 0.5 - x0, y = row + 0.5 - y0;
      const along = length2 ? Math.min(1, Math.max(0, (x * dx + y * dy) / length2)) : 0;
      const distance = Math.hypot(x - along * dx, y - along * dy);
      const ink = Math.min(1, Math.max(0, (PEN / 2 + 0.75 - distance) / 1.5));
      const at = row * SIDE_OF_FRAME + column;
      frame[at] = Math.max(frame[at], ink);
    }
  }
}

/** Cut grey pixels (ink 1 on paper 0) to their ink and bring them into the frame. */
export function framePixels(pixels, width, height) {
  const frame = new Float32Array(SIDE_OF_FRAME ** 2);
  const places = [...pixels.keys()].filter((at) => pixels[at] > INK);
  if (!places.length) return frame;
  const [left, right] = range(places.map((at) => at % width));
  const [top, bottom] = range(places.map((at) => Math.floor(at / width)));
  const zoom = BOX / Math.max(right + 1 - left, bottom + 1 - top);
  const centre = [(left + right + 1) / 2, (top + bottom + 1) / 2];
  const read = (x, y) => x < left || x > right || y < top || y > bottom ? 0 : pixels[y * width + x];
  for (let row = 0; row < SIDE_OF_FRAME; row++) {
    for (let column = 0; column < SIDE_OF_FRAME; column++) {
      const x = centre[0] + (column + 0.5 - SIDE_OF_FRAME / 2) / zoom;
      const y = centre[1] + (row + 0.5 - SIDE_OF_FRAME / 2) / zoom;
      frame[row * SIDE_OF_FRAME + column] = resampled(read, x, y, Math.max(1, 1 / zoom));
    }
  }
  return frame;
}

/** The mean around (x, y) under a tent of this half width: bilinear, without aliasing. */
function resampled(read, x, y, reach) {
  let sum = 0, total = 0;
  for (let row = Math.floor(y - reach); row <= y + reach; row++) {
    const down = 1 - Math.abs(row + 0.5 - y) / reach;
    if (down <= 0) continue;
    for (let column = Math.floor(x - reach); column <= x + reach; column++) {
      const weight = down * (1 - Math.abs(column + 0.5 - x) / reach);
      if (weight <= 0) continue;
      sum += weight * read(column, row);
      total += weight;
    }
  }
  return total ? sum / total : 0;
}

/** Turn a picture's bytes (red, green, blue, opacity) into ink: the border tells the paper. */
export function inkOf(rgba, width, height) {
  const grey = Float32Array.from({ length: width * height }, (_, at) => {
    const [r, g, b, a] = rgba.subarray(4 * at, 4 * at + 4);
    return (0.299 * r + 0.587 * g + 0.114 * b) / 255 * (a / 255) + 1 - a / 255;
  });
  const border = grey.filter((_, at) => {
    const x = at % width, y = Math.floor(at / width);
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  }).sort();
  const paper = border[border.length >> 1];
  const contrast = grey.map((value) => Math.abs(value - paper));
  const most = Math.max(contrast.reduce((a, b) => Math.max(a, b), 0), 1e-6);
  return contrast.map((value) => Math.min(1, Math.max(0, (value / most - 0.2) / 0.6)));
}

function range(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}
