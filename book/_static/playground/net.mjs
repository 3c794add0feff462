/**
 * The letters net: four blocks of convolution, BatchNorm, ReLU and pooling, an average over space,
 * and a linear head. `tlcourse.torch.backbone("small-cnn")` with a head is the same net.
 */
import { AveragePool, BatchNorm, Convolution, Linear, MaxPool, Relu } from "./layers.mjs";
import { Random } from "./random.mjs";

export const SIDE = 32; // pixels of a picture
export const BLOCKS = 4;
const CHANNELS = [1, 16, 32, 64, 128];

export class SmallCnn {
  constructor(classes, seed) {
    const random = new Random(seed);
    this.classes = classes;
    this.blocks = Array.from({ length: BLOCKS }, (_, depth) => {
      const side = SIDE >> depth;
      return {
        conv: new Convolution(CHANNELS[depth], CHANNELS[depth + 1], side, random),
        norm: new BatchNorm(CHANNELS[depth + 1], side * side),
        relu: new Relu(),
        pool: new MaxPool(side),
      };
    });
    this.pool = new AveragePool((SIDE >> BLOCKS) ** 2);
    this.head = new Linear(CHANNELS[BLOCKS], classes, random);
  }

  /** Pictures in [0, 1] to logits. Given `from`, x is what block number `from` takes. */
  forward(x, n, { training = false, from = 0 } = {}) {
    const values = this.throughBlocks(from === 0 ? scaled(x) : x, n, from, BLOCKS, training);
    return this.head.forward(this.pool.forward(values), n);
  }

  /** The way back from the logits' gradient down to block number `until`, and not further. */
  backward(d, until = 0) {
    d = this.pool.backward(this.head.backward(d));
    for (let depth = BLOCKS - 1; depth >= until; depth--) {
      const { conv, norm, relu, pool } = this.blocks[depth];
      d = conv.backward(norm.backward(relu.backward(pool.backward(d))), depth > until);
    }
  }

  /** What block number `to` takes, for pictures in [0, 1]: the first blocks' features. */
  features(x, n, to) {
    return to === 0 ? x : this.throughBlocks(scaled(x), n, 0, to, false);
  }

  throughBlocks(values, n, from, to, training) {
    for (const { conv, norm, relu, pool } of this.blocks.slice(from, to)) {
      values = pool.forward(relu.forward(norm.forward(conv.forward(values, n), n, training)));
    }
    return values;
  }

  /** Let the first `frozen` blocks keep their BatchNorm's statistics; return what learns. */
  learning(frozen) {
    const parameters = [this.head.weight, this.head.bias];
    this.blocks.forEach(({ conv, norm }, depth) => {
      norm.learns = depth >= frozen;
      if (depth >= frozen) parameters.push(conv.weight, norm.weight, norm.bias);
    });
    return parameters;
  }

  /** Everything that the net has learned, under the names that PyTorch gives it. */
  state() {
    const state = {};
    this.blocks.forEach(({ conv, norm }, depth) => {
      const prefix = `backbone.body.block${depth + 1}`, shape = [norm.channels];
      state[`${prefix}.conv.weight`] = conv.weight;
      state[`${prefix}.norm.weight`] = norm.weight;
      state[`${prefix}.norm.bias`] = norm.bias;
      state[`${prefix}.norm.running_mean`] = { data: norm.runningMean, shape };
      state[`${prefix}.norm.running_var`] = { data: norm.runningVariance, shape };
      const batches = BigInt64Array.of(BigInt(norm.batches));
      state[`${prefix}.norm.num_batches_tracked`] = { data: batches, shape: [] };
    });
    state["head.weight"] = this.head.weight;
    state["head.bias"] = this.head.bias;
    return state;
  }

  /** Copy what a state holds into this net. The head of another task stays out. */
  load(state) {
    for (const [name, own] of Object.entries(this.state())) {
      const given = state[name];
      if (name.endsWith("num_batches_tracked")) continue;
      if (given && given.data.length === own.data.length) own.data.set(given.data);
      else if (!name.startsWith("head.")) throw new Error(`the weights do not hold ${name}`);
    }
    return this;
  }
}

/** Bring [0, 1] to [-1, 1], as the letters net was given its pictures. */
function scaled(pictures) {
  return pictures.map((ink) => (ink - 0.5) / 0.5);
}
