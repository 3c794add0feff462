/** AdamW (Loshchilov and Hutter, 2019), as torch.optim.AdamW computes it. */
export class AdamW {
  constructor(parameters, { decay = 0.01, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = {}) {
    Object.assign(this, { decay, beta1, beta2, epsilon, updates: 0 });
    this.slots = parameters.map((parameter) => ({
      parameter,
      mean: new Float32Array(parameter.data.length), // of the gradients
      square: new Float32Array(parameter.data.length), // of their squares
    }));
  }

  /** Move every parameter by one update at this learning rate, and forget its gradient. */
  step(rate) {
    const { decay, beta1, beta2, epsilon } = this;
    this.updates++;
    const correction1 = 1 - beta1 ** this.updates;
    const correction2 = Math.sqrt(1 - beta2 ** this.updates);
    for (const { parameter: { data, grad }, mean, square } of this.slots) {
      for (let i = 0; i < data.length; i++) {
        mean[i] += (1 - beta1) * (grad[i] - mean[i]);
        square[i] += (1 - beta2) * (grad[i] * grad[i] - square[i]);
        const size = Math.sqrt(square[i]) / correction2 + epsilon;
        data[i] -= rate * (decay * data[i] + mean[i] / correction1 / size);
      }
      grad.fill(0);
    }
  }
}
