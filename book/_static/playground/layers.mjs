/**
 * The layers of the letters net, each with its forward and its backward pass side by side.
 *
 * A layer's input and output are one flat Float32Array for a whole batch: example after example,
 * in each channel after channel, in each row after row. `forward(x, n)` keeps what `backward`
 * needs. `backward(d)` takes the loss's gradient with respect to the layer's output, adds that of
 * its parameters to their `grad`, and returns that with respect to its input.
 */

/** An array of numbers that learns, and the loss's gradient with respect to it. */
export class Parameter {
  constructor(data, shape) {
    this.data = data;
    this.shape = shape;
    this.grad = new Float32Array(data.length);
  }
}

/**
 * C += A B for matrices of any layout: A[i, l] is a[i * ai + l * al], B[l, j] is b[l * bl + j * bj],
 * and C (m, n) lies row after row. Four by four results at a time stay in registers, which is what
 * makes it fast.
 */
export function addProduct(m, k, n, a, a0, ai, al, b, b0, bl, bj, c, c0) {
  const evenRows = m - (m % 4), evenColumns = n - (n % 4);
  for (let i = 0; i < evenRows; i += 4) {
    for (let j = 0; j < evenColumns; j += 4) {
      addTile(k, a, a0 + i * ai, ai, al, b, b0 + j * bj, bl, bj, c, c0 + i * n + j, n);
    }
  }
  for (let i = 0; i < m; i++) {
    for (let j = i < evenRows ? evenColumns : 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[a0 + i * ai + l * al] * b[b0 + l * bl + j * bj];
      c[c0 + i * n + j] += sum;
    }
  }
}

function addTile(k, a, p, ai, al, b, q, bl, bj, c, at, n) {
  let c00 = 0, c01 = 0, c02 = 0, c03 = 0, c10 = 0, c11 = 0, c12 = 0, c13 = 0;
  let c20 = 0, c21 = 0, c22 = 0, c23 = 0, c30 = 0, c31 = 0, c32 = 0, c33 = 0;
  for (let l = 0; l < k; l++, p += al, q += bl) {
    const b0 = b[q], b1 = b[q + bj], b2 = b[q + 2 * bj], b3 = b[q + 3 * bj];
    const a0 = a[p], a1 = a[p + ai], a2 = a[p + 2 * ai], a3 = a[p + 3 * ai];
    c00 += a0 * b0; c01 += a0 * b1; c02 += a0 * b2; c03 += a0 * b3;
    c10 += a1 * b0; c11 += a1 * b1; c12 += a1 * b2; c13 += a1 * b3;
    c20 += a2 * b0; c21 += a2 * b1; c22 += a2 * b2; c23 += a2 * b3;
    c30 += a3 * b0; c31 += a3 * b1; c32 += a3 * b2; c33 += a3 * b3;
  }
  c[at] += c00; c[at + 1] += c01; c[at + 2] += c02; c[at + 3] += c03; at += n;
  c[at] += c10; c[at + 1] += c11; c[at + 2] += c12; c[at + 3] += c13; at += n;
  c[at] += c20; c[at + 1] += c21; c[at + 2] += c22; c[at + 3] += c23; at += n;
  c[at] += c30; c[at + 1] += c31; c[at + 2] += c32; c[at + 3] += c33;
}

/** 3x3 convolution without bias, on squares of side `side` with a border of zeros. */
export class Convolution {
  constructor(channelsIn, channelsOut, side, random) {
    Object.assign(this, { channelsIn, channelsOut, side, taps: 9 * channelsIn });
    const start = random.spread(channelsOut * this.taps, 1 / Math.sqrt(this.taps));
    this.weight = new Parameter(start, [channelsOut, channelsIn, 3, 3]);
    this.columns = new Float32Array(this.taps * side * side);
  }

  forward(x, n) {
    const { channelsIn, channelsOut, side, taps } = this, area = side * side;
    const out = new Float32Array(n * channelsOut * area);
    for (let i = 0; i < n; i++) {
      this.unfold(x, i * channelsIn * area);
      addProduct(channelsOut, taps, area, this.weight.data, 0, taps, 1,
        this.columns, 0, area, 1, out, i * channelsOut * area);
    }
    this.input = x;
    return out;
  }

  backward(d, wantsInput = true) {
    const { channelsIn, channelsOut, side, taps, input } = this, area = side * side;
    const n = d.length / (channelsOut * area);
    const dInput = wantsInput ? new Float32Array(input.length) : null;
    for (let i = 0; i < n; i++) {
      const at = i * channelsOut * area;
      this.unfold(input, i * channelsIn * area);
      addProduct(channelsOut, area, taps, d, at, area, 1,
        this.columns, 0, 1, area, this.weight.grad, 0);
      if (!wantsInput) continue;
      this.columns.fill(0);
      addProduct(taps, channelsOut, area, this.weight.data, 0, 1, taps,
        d, at, area, 1, this.columns, 0);
      this.fold(dInput, i * channelsIn * area);
    }
    return dInput;
  }

  /** Write each pixel's 3x3 neighbourhood of one example into `columns` (taps, area). */
  unfold(x, start) {
    this.eachRow((row, from, to, length) => {
      if (!length) return this.columns.fill(0, row, row + this.side);
      this.columns[row] = this.columns[row + this.side - 1] = 0; // the border
      for (let j = 0; j < length; j++) this.columns[to + j] = x[start + from + j];
    });
  }

  /** The way back: add each column entry to the pixel that it was taken from. */
  fold(dInput, start) {
    this.eachRow((row, from, to, length) => {
      for (let j = 0; j < length; j++) dInput[start + from + j] += this.columns[to + j];
    });
  }

  /** Visit the rows of `columns`: where one begins, and which pixels of the example stand where. */
  eachRow(visit) {
    const { channelsIn, side } = this;
    for (let channel = 0, row = 0; channel < channelsIn; channel++) {
      for (let tap = 0; tap < 9; tap++) {
        const down = Math.floor(tap / 3) - 1, across = (tap % 3) - 1;
        const left = Math.max(0, -across), length = side - Math.abs(across);
        for (let y = 0; y < side; y++, row += side) {
          const inside = y + down >= 0 && y + down < side;
          const from = (channel * side + y + down) * side + left + across;
          visit(row, from, row + left, inside ? length : 0);
        }
      }
    }
  }
}

/**
 * Batch normalisation: each channel to mean 0 and variance 1, then times gamma plus beta.
 * While it learns, mean and variance are the batch's, and the running statistics follow them;
 * otherwise, or when frozen, it uses the running statistics.
 */
export class BatchNorm {
  constructor(channels, area) {
    Object.assign(this, { channels, area, learns: true, momentum: 0.1, epsilon: 1e-5 });
    this.weight = new Parameter(new Float32Array(channels).fill(1), [channels]); // gamma
    this.bias = new Parameter(new Float32Array(channels), [channels]); // beta
    this.runningMean = new Float32Array(channels);
    this.runningVariance = new Float32Array(channels).fill(1);
    this.batches = 0;
  }

  forward(x, n, training) {
    const { channels, area } = this, normal = new Float32Array(x.length), out = new Float32Array(x.length);
    this.usesBatch = training && this.learns;
    if (this.usesBatch) this.measure(x, n);
    else this.use(this.runningMean, this.runningVariance);
    for (let start = 0, row = 0; start < x.length; start += area, row++) {
      const channel = row % channels, mean = this.mean[channel], scale = this.scale[channel];
      const gamma = this.weight.data[channel], beta = this.bias.data[channel];
      for (let at = start; at < start + area; at++) {
        normal[at] = (x[at] - mean) * scale;
        out[at] = gamma * normal[at] + beta;
      }
    }
    this.normal = normal;
    return out;
  }

  /** With the batch's statistics each pixel moves mean and variance too, hence two more terms. */
  backward(d) {
    const { channels, area, normal } = this, dInput = new Float32Array(d.length);
    const dBeta = new Float64Array(channels), dGamma = new Float64Array(channels);
    for (let start = 0, row = 0; start < d.length; start += area, row++) {
      for (let at = start; at < start + area; at++) {
        dBeta[row % channels] += d[at];
        dGamma[row % channels] += d[at] * normal[at];
      }
    }
    const share = this.usesBatch ? channels / d.length : 0; // one pixel's of its channel
    for (let start = 0, row = 0; start < d.length; start += area, row++) {
      const channel = row % channels, factor = this.weight.data[channel] * this.scale[channel];
      const shift = share * dBeta[channel], turn = share * dGamma[channel];
      for (let at = start; at < start + area; at++) {
        dInput[at] = factor * (d[at] - shift - normal[at] * turn);
      }
    }
    for (let channel = 0; channel < channels; channel++) {
      this.bias.grad[channel] += dBeta[channel];
      this.weight.grad[channel] += dGamma[channel];
    }
    return dInput;
  }

  /** Take each channel's mean and variance from the batch, and let the running ones follow. */
  measure(x, n) {
    const { channels, area, momentum } = this, count = n * area;
    const mean = new Float64Array(channels), variance = new Float64Array(channels);
    for (let start = 0, row = 0; start < x.length; start += area, row++) {
      for (let at = start; at < start + area; at++) mean[row % channels] += x[at] / count;
    }
    for (let start = 0, row = 0; start < x.length; start += area, row++) {
      const centre = mean[row % channels];
      for (let at = start; at < start + area; at++) variance[row % channels] += (x[at] - centre) ** 2 / count;
    }
    this.use(mean, variance);
    for (let channel = 0; channel < channels; channel++) {
      const unbiased = (variance[channel] * count) / Math.max(1, count - 1);
      this.runningMean[channel] += momentum * (mean[channel] - this.runningMean[channel]);
      this.runningVariance[channel] += momentum * (unbiased - this.runningVariance[channel]);
    }
    this.batches++;
  }

  use(mean, variance) {
    this.mean = mean;
    this.scale = Float64Array.from(variance, (one) => 1 / Math.sqrt(one + this.epsilon));
  }
}

/** The larger of the number and 0. */
export class Relu {
  forward(x) {
    const out = new Float32Array(x.length);
    for (let at = 0; at < x.length; at++) out[at] = x[at] > 0 ? x[at] : 0;
    this.out = out;
    return out;
  }

  backward(d) {
    const dInput = new Float32Array(d.length), { out } = this;
    for (let at = 0; at < d.length; at++) dInput[at] = out[at] > 0 ? d[at] : 0;
    return dInput;
  }
}

/** The largest of each 2x2 pixels: half the height and width. */
export class MaxPool {
  constructor(side) {
    this.side = side;
  }

  forward(x) {
    const { side } = this, half = side / 2;
    const out = new Float32Array(x.length / 4), winner = new Int32Array(out.length);
    for (let at = 0; at < out.length; at++) {
      const row = Math.floor(at / half), first = 2 * row * side + 2 * (at - row * half);
      let best = first;
      if (x[first + 1] > x[best]) best = first + 1;
      if (x[first + side] > x[best]) best = first + side;
      if (x[first + side + 1] > x[best]) best = first + side + 1;
      winner[at] = best;
      out[at] = x[best];
    }
    Object.assign(this, { winner, length: x.length });
    return out;
  }

  backward(d) {
    const dInput = new Float32Array(this.length), { winner } = this;
    for (let at = 0; at < d.length; at++) dInput[winner[at]] = d[at];
    return dInput;
  }
}

/** The mean of each channel over all pixels. */
export class AveragePool {
  constructor(area) {
    this.area = area;
  }

  forward(x) {
    const out = new Float32Array(x.length / this.area);
    x.forEach((value, at) => { out[Math.floor(at / this.area)] += value / this.area; });
    return out;
  }

  backward(d) {
    const dInput = new Float32Array(d.length * this.area);
    return dInput.map((_, at) => d[Math.floor(at / this.area)] / this.area);
  }
}

/** A matrix times the features, plus a bias: the head. */
export class Linear {
  constructor(featuresIn, featuresOut, random) {
    Object.assign(this, { featuresIn, featuresOut });
    const limit = 1 / Math.sqrt(featuresIn);
    const start = random.spread(featuresOut * featuresIn, limit);
    this.weight = new Parameter(start, [featuresOut, featuresIn]);
    this.bias = new Parameter(random.spread(featuresOut, limit), [featuresOut]);
  }

  forward(x, n) {
    const { featuresIn, featuresOut } = this;
    const out = new Float32Array(n * featuresOut).map((_, at) => this.bias.data[at % featuresOut]);
    addProduct(n, featuresIn, featuresOut, x, 0, featuresIn, 1,
      this.weight.data, 0, 1, featuresIn, out, 0);
    this.input = x;
    return out;
  }

  backward(d) {
    const { featuresIn, featuresOut, input } = this, n = d.length / featuresOut;
    addProduct(featuresOut, n, featuresIn, d, 0, 1, featuresOut,
      input, 0, featuresIn, 1, this.weight.grad, 0);
    d.forEach((value, at) => { this.bias.grad[at % featuresOut] += value; });
    const dInput = new Float32Array(input.length);
    addProduct(n, featuresOut, featuresIn, d, 0, featuresOut, 1,
      this.weight.data, 0, featuresIn, 1, dInput, 0);
    return dInput;
  }
}

/** Probabilities from one example's logits. */
export function softmax(logits) {
  const largest = Math.max(...logits); // or the exponentials would overflow
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** The mean cross-entropy of a batch of logits (n, classes), and its gradient. */
export function crossEntropy(logits, labels) {
  const n = labels.length, classes = logits.length / n;
  const d = new Float32Array(logits.length);
  let loss = 0;
  labels.forEach((label, i) => {
    const start = i * classes;
    const p = softmax(logits.subarray(start, start + classes));
    loss -= Math.log(Math.max(p[label], 1e-30)) / n;
    p.forEach((chance, k) => { d[start + k] = (chance - (k === label ? 1 : 0)) / n; });
  });
  return { loss, d };
}
