/**
 * Random numbers that follow from a seed, the same in every browser: mulberry32 by T. Ettinger.
 * It is no generator for secrets; for starting values and orders it is good enough.
 */
export class Random {
  constructor(seed) {
    this.state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }

  /** A number in [0, 1). */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An array of `length` numbers between -limit and limit. */
  spread(length, limit) {
    return Float32Array.from({ length }, () => limit * (2 * this.next() - 1));
  }

  /** The numbers 0 to n - 1 in random order (Fisher and Yates). */
  order(n) {
    const places = Array.from({ length: n }, (_, place) => place);
    for (let last = n - 1; last > 0; last--) {
      const other = Math.floor(this.next() * (last + 1));
      [places[last], places[other]] = [places[other], places[last]];
    }
    return places;
  }
}
