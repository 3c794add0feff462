"""Measure what the course's training loop costs over a bare one that does the same steps.

    python benchmarks/training_loop.py

Both train the same net on the same images in the same order with AdamW and a one-cycle rate. They
run in turn, so that a busy machine slows both alike; the ratio is that of the medians.
"""

import time
from statistics import median

import numpy as np
import torch
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse import data

STEPS, BATCH, REPEATS = 60, 32, 9


def fresh_model():
    return tl.TransferModel(tl.backbone("small-cnn"), 10)


def bare_loop(domain):
    model = fresh_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=STEPS)
    order, start, step = np.random.default_rng(0), time.perf_counter(), 0
    model.train()
    while step < STEPS:
        for rows in np.array_split(order.permutation(len(domain)), -(-len(domain) // BATCH)):
            images = torch.from_numpy(domain.inputs[rows]).permute(0, 3, 1, 2)
            loss = F.cross_entropy(model(images), torch.from_numpy(domain.labels[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            step += 1
            if step == STEPS:
                break
    return time.perf_counter() - start, model


def course_loop(domain):
    model, start = fresh_model(), time.perf_counter()
    tl.fit(model, domain, steps=STEPS, batch_size=BATCH, device="cpu")
    return time.perf_counter() - start, model


def main():
    domain = data.load("handwritten-digits", n=640)
    (_, bare), (_, course) = bare_loop(domain), course_loop(domain)  # also warms up
    same = all(
        torch.equal(a, b) for a, b in zip(bare.parameters(), course.parameters(), strict=True)
    )
    times = np.array([[bare_loop(domain)[0], course_loop(domain)[0]] for _ in range(REPEATS)])
    plain, ours = (median(column) for column in times.T)
    print(
        f"{STEPS} steps of {BATCH} images, {REPEATS} repeats, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread(s)"
    )
    print(f"bare loop   {1e3 * plain / STEPS:7.2f} ms a step")
    print(f"tlcourse    {1e3 * ours / STEPS:7.2f} ms a step")
    print(f"ratio       {ours / plain:7.3f}   (wanted: <= 1.05)")
    print(f"same weights afterwards, bit for bit: {same}")


if __name__ == "__main__":
    main()
