"""Measure features, predictions and training on photographs against bare PyTorch loops.

    python benchmarks/main_path.py [--repeats 7]

Yardstick: torchvision's net in channels_last, fed with batches of the same size in the same format,
normalised alike, and nothing else. The two run in turn, in an order that alternates, so a busy
machine slows both alike; the ratio is the median of the pairs' ratios, bare over course: 1 is as
fast as the bare loop, and 0.95 is wanted. Processor time is compared beside wall-clock time, as it
depends less on what else runs. Memory is the growth of the peak while pictures that take no memory
themselves go through, for ever more of them.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torchvision
from torch.nn import functional as F
from torchvision.transforms.functional import normalize

import tlcourse.torch as tl
from tlcourse.data import Domain

SIZE, BATCH = 224, 16
NETS = {"mobilenet_v2": 16, "resnet18": 16}  # pictures in one measurement
LAST = torch.channels_last


def photographs(n, size=SIZE, channels=3):
    return np.random.default_rng(0).random((n, size, size, channels), dtype=np.float32)


def bare_net(course_net):
    """Take the torchvision net out of a backbone, in channels_last."""
    return course_net.body.to(memory_format=LAST)


def batch_of(images, rows, course_net):
    """Bring pictures to the net as it wants them, normalised."""
    scale = course_net.preprocess
    batch = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).contiguous(memory_format=LAST)
    return normalize(batch, scale.mean.flatten().tolist(), scale.std.flatten().tolist())


def bare_features(course_net, images, head=None):
    net = bare_net(course_net).eval()
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            features = net(batch_of(images, slice(start, start + BATCH), course_net)).flatten(1)
            if head is not None:
                head(features)


def bare_fit(model, domain):
    net, head = bare_net(model.backbone).train(), model.head
    steps = -(-len(domain) // BATCH)
    parameters = [*net.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=max(2, steps))
    order = np.random.default_rng(0).permutation(len(domain))
    for rows in np.array_split(order, steps):
        batch = batch_of(domain.inputs, rows, model.backbone)
        loss = F.cross_entropy(head(net(batch).flatten(1)), torch.from_numpy(domain.labels[rows]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def clock(task):
    wall, processor = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(name, bare, course, examples, repeats):
    """Run both in turn, and print the milliseconds and the median of the pairs' ratios."""
    bare(), course()  # warms up
    pairs = []
    for repeat in range(repeats):
        both = (bare, course) if repeat % 2 else (course, bare)
        times = {task: clock(task) for task in both}
        pairs.append((times[bare], times[course]))
    pairs = np.array(pairs)  # (repeat, bare or course, wall or processor)
    ratios = np.median(pairs[:, 0] / pairs[:, 1], axis=0)
    plain, ours = (1e3 * median(pairs[:, side, 0]) / examples for side in (0, 1))
    print(
        f"{name:32s} bare {plain:7.2f} ms   course {ours:7.2f} ms   ratio {ratios[0]:5.2f} "
        f"(processor time {ratios[1]:5.2f})",
        flush=True,
    )


def compare_net(name, n, repeats):
    images = photographs(n)
    domain = Domain("photographs", images, np.arange(n) % 10, tuple("abcdefghij"))
    model = tl.TransferModel(tl.backbone(name), 10)
    twin = tl.TransferModel(tl.backbone(name), 10)
    compare(
        f"{name} extract_features",
        lambda: bare_features(twin.backbone, images),
        lambda: tl.extract_features(model, images, device="cpu"),
        n,
        repeats,
    )
    compare(
        f"{name} predict",
        lambda: bare_features(twin.backbone, images, twin.head),
        lambda: tl.predict(model, images, device="cpu"),
        n,
        repeats,
    )
    compare(
        f"{name} fit",
        lambda: bare_fit(twin, domain),
        lambda: tl.fit(model, domain, epochs=1, batch_size=BATCH, device="cpu"),
        n,
        repeats,
    )


def grow(n):
    """Return by how many MB the peak of memory grows when n pictures go through a net."""
    net = tl.backbone("mobilenet_v2")
    pictures = np.broadcast_to(np.full((1, 1, 1, 1), 0.5, np.float32), (n, SIZE, SIZE, 3))
    tl.extract_features(net, pictures[:1], device="cpu")
    before = peak()
    tl.extract_features(net, pictures, device="cpu")
    return peak() - before


def peak():
    """Return this process's peak memory in MB, on Linux; getrusage would tell its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        print(f"{grow(options.grow):.0f}")
        return
    print(
        f"{SIZE}-pixel pictures, batches of {BATCH}, {options.repeats} pairs, a picture; torch "
        f"{torch.__version__}, torchvision {torchvision.__version__}, "
        f"{torch.get_num_threads()} thread(s)"
    )
    for name, n in NETS.items():
        compare_net(name, n, options.repeats)
    for n in (32, 256):  # each in a process of its own, as a peak never falls
        command = [sys.executable, __file__, "--grow", str(n)]
        used = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        print(f"peak memory grows by {used:>4s} MB while {n:4d} pictures go through mobilenet_v2")


if __name__ == "__main__":
    main()
