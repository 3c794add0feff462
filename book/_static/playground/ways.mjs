/** What each way starts from, what it freezes, its usual learning rate, and its most updates. */
export const WAYS = {
  scratch: { pretrained: false, frozen: 0, rate: 0.003, most: 1200 },
  frozen: { pretrained: true, frozen: 4, rate: 0.01, most: 6000 },
  tuned: { pretrained: true, frozen: 0, rate: 0.002, most: 1200 },
};
