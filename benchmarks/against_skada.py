"""Deep CORAL, DAN and DANN: the course's against skada's, on the same arrays, net, seeds and steps.

    python benchmarks/against_skada.py > benchmarks/results/against_skada.txt

Protocol. rendered-digits (1,920 images) -> unlabelled handwritten-digits (1,797). Net: small-cnn
and a linear head from the same random start. Both sides make the same number of updates of 64
examples of each domain with AdamW at a constant 0.001 (without the course's one-cycle
rate). Weights of the distances: 1 for DAN and DANN, 30 for Deep CORAL, on both sides. DANN's
discriminator has the same shape. No target label is used but for the final accuracy. The sides take
turns, so that a busy machine slows both alike.

About skada's discriminator: the one that skada 0.6 makes by default ends in a softmax over a single
output, which is 1 whatever the features are; no gradient passes it, and its DANN adapts nothing.
The one here starts with skada's own layer that reverses the gradient, at constant strength as
there, and ends in a sigmoid. The course's strength grows from 0 to 1, as in the paper.
"""

import time
import warnings
from collections import defaultdict
from unittest import mock

import tlcourse.torch as tl  # isort: skip - before skada, which loads TensorFlow where it is

import numpy as np
import torch
from skada.deep import DAN, DANN, DeepCoral
from skada.deep.modules import GradientReversalLayer
from torch import nn

from tlcourse import data

SEEDS, BATCH, EPOCHS = range(5), 64, 6
METHODS = {"deep-coral": (DeepCoral, 30.0), "dan": (DAN, 1.0), "dann": (DANN, 1.0)}


def fresh(seed):
    return tl.TransferModel(tl.backbone("small-cnn", seed=seed), 10, seed=seed)


def constant_rate(optimiser, peaks, total_steps, **_):
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)


def course(method, weight, seed, source, target, steps):
    net = fresh(seed)
    with mock.patch("torch.optim.lr_scheduler.OneCycleLR", constant_rate):
        history = tl.adapt(
            net,
            source,
            target.inputs,
            method=method,
            weight=weight,
            steps=steps,
            lr=1e-3,
            batch_size=BATCH,
            seed=seed,
            device="cpu",
        )
    return tl.evaluate(net, target, device="cpu").accuracy, history.seconds


class Flat(nn.Module):
    """The same net with the features as a layer of their own, as skada wants it."""

    def __init__(self, seed):
        super().__init__()
        model = fresh(seed)
        self.features, self.head = model.backbone, model.head

    def forward(self, images, sample_weight=None):
        """Return logits."""
        return self.head(self.features(images))


class Reversal(nn.Module):
    """The gradient reversal that skada puts into its default discriminator."""

    def forward(self, features):
        """Return the features."""
        return GradientReversalLayer.apply(features, 1.0)


def skadas(cls, weight, seed, source, target):
    options = {}
    if cls is DANN:
        options = {
            "num_features": 128,
            "domain_classifier": nn.Sequential(
                Reversal(),
                nn.Linear(128, 128),
                nn.ReLU(),
                nn.Linear(128, 1),
                nn.Sigmoid(),
                nn.Flatten(0),
            ),
        }
    torch.manual_seed(seed)
    net = cls(
        Flat(seed),
        layer_name="features",
        reg=weight,
        batch_size=BATCH,
        max_epochs=EPOCHS,
        lr=1e-3,
        optimizer=torch.optim.AdamW,
        train_split=None,
        verbose=0,
        device="cpu",
        **options,
    )
    x = np.concatenate([source.inputs, target.inputs]).transpose(0, 3, 1, 2).copy()
    y = np.concatenate([source.labels, np.full(len(target), -1)])
    domain = np.concatenate([np.ones(len(source), int), np.full(len(target), -2)])
    start = time.perf_counter()
    net.fit(x, y, sample_domain=domain)
    seconds = time.perf_counter() - start
    predicted = net.predict(x[len(source) :], sample_domain=domain[len(source) :])
    steps = sum(len(row["batches"]) for row in net.history)
    return (predicted == target.labels).mean(), seconds, steps


def main():
    source = data.load("rendered-digits").subset(np.arange(1920))
    target = data.load("handwritten-digits")
    results = defaultdict(list)
    for seed in SEEDS:
        for method, (cls, weight) in METHODS.items():
            theirs = skadas(cls, weight, seed, source, target)
            ours = course(method, weight, seed, source, target, theirs[2])
            results[method].append((*ours, *theirs))
    print("accuracy on the target in %, mean ± standard deviation over 5 seeds; seconds\n")
    for method, runs in results.items():
        ours, our_time, theirs, their_time, steps = np.array(runs).T
        print(
            f"{method:10} course {100 * ours.mean():5.1f} ± {100 * ours.std(ddof=1):3.1f} "
            f"in {our_time.mean():5.1f} s   skada {100 * theirs.mean():5.1f} ± "
            f"{100 * theirs.std(ddof=1):3.1f} in {their_time.mean():5.1f} s   "
            f"time ratio {np.median(our_time / their_time):.2f} (wanted: <= 0.70)   "
            f"{int(steps[0])} steps"
        )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
