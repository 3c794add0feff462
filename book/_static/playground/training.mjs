/**
 * Three ways to learn the reader's classes from the same few pictures, and when to stop.
 *
 * How long: a net learns until its loss on its own pictures has fallen below ENOUGH, and at least LEAST
 * updates, so that the running statistics of its BatchNorm have followed. Say that this took
 * N updates: then it learns for N more while the learning rate falls to zero. So every net gets
 * the updates that it needs, whatever the others need, and one can see whether twice as many
 * changed its score. The held-out pictures decide nothing.
 */
import { crossEntropy, softmax } from "./layers.mjs";
import { SmallCnn } from "./net.mjs";
import { AdamW } from "./optimiser.mjs";
import { Random } from "./random.mjs";
import { WAYS } from "./ways.mjs";

const ENOUGH = 0.03, LEAST = 80;
const BATCH = 16;
const AT_ONCE = 16; // pictures in memory while a net only answers

/** A net for one of the ways, at its start. */
export function startingNet(way, classes, seed, letters) {
  const net = new SmallCnn(classes, seed);
  return WAYS[way].pretrained ? net.load({ ...letters, "head.weight": null, "head.bias": null }) : net;
}

/**
 * Train a net; yield after each update what is known: {update, loss, heldOut, halfway, done}.
 * `pictures` and `heldOut.pictures` are lists of frames, `labels` of class numbers.
 */
export function* train(net, { pictures, labels, heldOut, frozen, rate, most, seed, least = LEAST }) {
  const parameters = net.learning(frozen), optimiser = new AdamW(parameters), random = new Random(seed);
  // What frozen blocks make of a picture never changes, so it is computed once.
  const inputs = pictures.map((picture) => net.features(picture, 1, frozen));
  const tests = heldOut.pictures.map((picture) => net.features(picture, 1, frozen));
  const perPass = Math.ceil(pictures.length / BATCH);
  let order = [], recent = [], half = 0, halfway = null, next = 1, loss = Infinity;
  for (let update = 1; ; update++) {
    if (order.length === 0) order = batches(random.order(pictures.length), perPass);
    const batch = order.pop();
    const logits = net.forward(joined(inputs, batch), batch.length, { training: true, from: frozen });
    const result = crossEntropy(logits, batch.map((place) => labels[place]));
    net.backward(result.d, frozen);
    const total = half ? 2 * half : most;
    optimiser.step(rate * (half ? (total - update + 1) / (total - half + 1) : 1));
    recent = [...recent, result.loss].slice(-perPass); // one pass over the pictures
    loss = recent.reduce((sum, one) => sum + one, 0) / recent.length;
    const report = { update, loss };
    if (!half && recent.length === perPass && update >= least && loss < ENOUGH && 2 * update <= most) {
      half = update;
      report.halfway = true;
    }
    report.done = update === (half ? 2 * half : most);
    if (update >= next || report.halfway || report.done) {
      report.heldOut = score(net, tests, heldOut.labels, frozen);
      next = Math.ceil(update * 1.5);
    }
    report.finished = report.done && half > 0;
    yield report;
    if (report.done) return;
  }
}

/** How many of the pictures a net gets right, and how sure it is of the right class on average. */
export function score(net, inputs, labels, from) {
  let right = 0;
  for (let start = 0; start < inputs.length; start += AT_ONCE) {
    const places = labels.slice(start, start + AT_ONCE).map((_, i) => start + i);
    const logits = net.forward(joined(inputs, places), places.length, { from });
    places.forEach((place, i) => {
      const own = logits.subarray(i * net.classes, (i + 1) * net.classes);
      if (own.indexOf(Math.max(...own)) === labels[place]) right++;
    });
  }
  return { right, of: inputs.length };
}

/** The probability that a net gives to each class of one picture. */
export function answer(net, picture) {
  return softmax(net.forward(picture, 1));
}

function joined(inputs, places) {
  const length = inputs[0].length, out = new Float32Array(places.length * length);
  places.forEach((place, i) => out.set(inputs[place], i * length));
  return out;
}

/** Part an order into batches of equal size but for one. */
function batches(order, count) {
  return Array.from({ length: count }, (_, i) =>
    order.slice(Math.round((i * order.length) / count), Math.round(((i + 1) * order.length) / count)));
}
