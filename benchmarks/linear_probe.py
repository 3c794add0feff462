"""Train a head for ten epochs: on features computed once, and with the frozen net run every epoch.

    python benchmarks/linear_probe.py > benchmarks/results/linear_probe.txt

Both train the same head from the same start on the same batches. The frozen net is run by `fit` on
the whole model, backbone frozen, as the articles do. Times are medians of interleaved repeats.
"""

import time
from statistics import median

import numpy as np
import torch

import tlcourse.torch as tl
from tlcourse import data

EPOCHS, REPEATS = 10, 5


def model(net, weights):
    return tl.TransferModel(tl.backbone(net, weights=weights), 10)


def timed(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def compare(net, weights, domain, n_train=1400, n_test=397, repeats=REPEATS):
    rows = np.random.default_rng(0).permutation(len(domain))
    train, test = domain.subset(rows[:n_train]), domain.subset(rows[n_train : n_train + n_test])
    options = {"epochs": EPOCHS, "lr": 1e-2, "device": "cpu"}
    times, accuracies = [], []
    for _ in range(repeats):
        once, every, probed = model(net, weights), model(net, weights), model(net, weights)
        tl.freeze(every, "backbone")
        forward, _ = timed(lambda net=once: tl.extract_features(net, train.inputs, device="cpu"))
        cached, _ = timed(lambda net=once: tl.fine_tune(net, train, method="head", **options))
        recomputed, _ = timed(lambda net=every: tl.fit(net, train, **options))
        probe, _ = timed(lambda net=probed: tl.linear_probe(net, train, device="cpu"))
        times.append((forward, cached, recomputed, probe))
        accuracies = [tl.evaluate(one, test).accuracy for one in (once, every, probed)]
    forward, cached, recomputed, probe = (median(column) for column in zip(*times, strict=True))
    print(f"{net} on {domain.name}, {len(train)} images, {EPOCHS} epochs")
    print(f"  one forward pass          {forward:7.2f} s")
    print(f"  head, features once       {cached:7.2f} s   accuracy {accuracies[0]:.3f}")
    print(f"  head, net every epoch     {recomputed:7.2f} s   accuracy {accuracies[1]:.3f}")
    print(f"  logistic regression       {probe:7.2f} s   accuracy {accuracies[2]:.3f}")
    print(f"  every epoch / once        {recomputed / cached:7.2f}     (wanted: >= 8)")
    print(f"  once / forward pass       {cached / forward:7.2f}")
    print(f"  probe / forward pass      {probe / forward:7.2f}     (wanted: <= 1.1)")


def main():
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    compare("small-cnn", "letters", data.load("handwritten-digits"))
    compare("small-resnet", "signs", data.load("signs"))
    # the net of the articles' last program, at its 224 pixels; its weights do not change its time
    compare("resnet18", None, data.load("signs"), n_train=120, n_test=40, repeats=1)


if __name__ == "__main__":
    main()
