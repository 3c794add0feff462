/** Pictures that need no drawing: real handwriting, printed letters, and the reader's own files. */
import { framePixels, inkOf } from "./framing.mjs";

const GRID = 8, LEVELS = 16; // scikit-learn's digits: 8x8 pixels of 0 to 16
const LARGE = 128;
const FONTS = ["sans-serif", "serif", "monospace", "italic serif", "bold sans-serif", "cursive",
  "bold serif", "italic sans-serif", "bold monospace", "italic bold serif"];

/** The handwritten digits that came with the page: frames by digit. */
export function handwriting({ pixels, each }) {
  const bytes = fromBase64(pixels), area = GRID * GRID;
  return Array.from({ length: bytes.length / area / each }, (_, digit) =>
    Array.from({ length: each }, (_, i) => {
      const start = (digit * each + i) * area;
      const grey = Float32Array.from(bytes.subarray(start, start + area), (level) => level / LEVELS);
      return framePixels(grey, GRID, GRID);
    }));
}

/** A printed letter, the next time in another font and slant. */
export function printed(letter, time) {
  const { canvas, context } = blank(LARGE, LARGE);
  const font = FONTS[time % FONTS.length].split(" "), family = font.pop();
  const slant = (((time * 7) % 11) - 5) / 25, narrow = 0.75 + ((time * 5) % 7) / 20;
  context.setTransform(narrow, 0, slant, 1, LARGE / 2, LARGE / 2);
  Object.assign(context, { fillStyle: "#000", textAlign: "center", textBaseline: "middle" });
  context.font = `${font.join(" ")} ${0.6 * LARGE}px ${family}`;
  context.fillText(letter, 0, 0);
  return framed(canvas);
}

/** A picture file, whatever its size, colours and margins. */
export async function uploaded(file) {
  const picture = await createImageBitmap(file);
  const zoom = Math.min(1, (2 * LARGE) / Math.max(picture.width, picture.height));
  const size = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * zoom)));
  const { canvas, context } = blank(...size);
  context.drawImage(picture, 0, 0, ...size);
  return framed(canvas);
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function blank(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  return { canvas, context };
}

function framed(canvas) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return framePixels(inkOf(data, width, height), width, height);
}
