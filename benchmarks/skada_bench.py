"""MNIST and USPS by the protocol of SKADA-Bench: the course's methods beside skada's own.

    TLCOURSE_DATA=<folder> python benchmarks/skada_bench.py --store rows.jsonl \
        > benchmarks/results/skada_bench.txt

Protocol, after version 1.0 of that benchmark (its dataset ``deep_mnist_usps``). Data: the published
training parts; MNIST 28x28, USPS 16x16 with 6 black pixels around, each normalised by its own mean
and deviation. Split: four fifths of both domains for training, one fifth of the target for the
test, `StratifiedDomainShuffleSplit` with random state 0, 1, ... Net: that of PyTorch's MNIST
example, two convolutions and two linear layers with dropout, 1.2 million parameters.

skada: batches of 256 of each domain, 10 epochs of the larger domain, SGD 0.1 with momentum 0.6 and
weight decay 0.00001 (DANN 0.01 and 0.9), as SKADA-Bench sets it. Course: `tlcourse.torch.adapt` on
the same net from the same start, batches of 256 too, AdamW with a one-cycle rate as the package has
it, and 4 tenths of skada's updates. Weights on both sides: 1, for Deep CORAL 30; MCC's temperature
2.5. SKADA-Bench chooses weights over a grid; here none is chosen, so no label of the target
chose anything. ``--epochs`` makes all of it shorter, on both sides. The sides take turns;
seconds are those of one CPU thread.
"""

import argparse
import json
import os
import time
import warnings
from collections import defaultdict

os.environ["OMP_NUM_THREADS"] = "1"

import tlcourse.torch as tl  # isort: skip - before skada, which loads TensorFlow where it is

import numpy as np
import torch
from digits_adaptation import ARROWS, read, sharp_usps
from skada.deep import DAN, DANN, MCC, DeepCoral, SourceOnly
from skada.deep.modules import GradientReversalLayer
from skada.model_selection import StratifiedDomainShuffleSplit
from skada.utils import source_target_merge
from skorch.callbacks import LRScheduler
from torch import nn

from tlcourse import data

BATCH, SHARE = 256, 0.4
METHODS = {
    "source only": (SourceOnly, 0.0, {}),
    "Deep CORAL": (DeepCoral, 30.0, {}),
    "DAN": (DAN, 1.0, {}),
    "DANN": (DANN, 1.0, {}),
    "MCC": (MCC, 1.0, {"T": 2.5}),
}
SCALE = {"mnist": (0.1307, 0.3081), "usps": (0.0806, 0.2063)}


def rows_of(name, usps):
    """Load a training part as SKADA-Bench prepares it: rows ``(n, 784)``, and labels."""
    if name == "usps":
        images, labels = sharp_usps(usps, "train", 16) if usps else load_at("usps", 16)
        images = np.pad(images, ((0, 0), (6, 6), (6, 6), (0, 0)))
    else:
        images, labels = load_at("mnist", 28)
    mean, deviation = SCALE[name]
    return ((images - mean) / deviation).reshape(len(images), -1).astype(np.float32), labels


def load_at(name, size):
    domain = data.load_download(name, size=size)
    return domain.inputs, domain.labels


class Features(nn.Module):
    """The net of PyTorch's MNIST example up to its last layer: rows of pixels to 128 numbers."""

    feature_dim = 128

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            *(nn.Conv2d(1, 32, 3), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
            *(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5)),
        )

    def forward(self, rows):
        """Return features."""
        return self.layers(rows)


class Classifier(nn.Module):
    """The same net in the shape that skada hooks into."""

    def __init__(self, model):
        super().__init__()
        self.features, self.head = model.backbone, model.head

    def forward(self, rows, sample_weight=None):
        """Return logits."""
        return self.head(self.features(rows))


class Reversal(nn.Module):
    """The gradient reversal of skada's own discriminator."""

    def forward(self, features):
        """Return the features."""
        return GradientReversalLayer.apply(features, 1.0)


def fresh(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = Features()
    return tl.TransferModel(backbone, 10, seed=seed)


def course(name, seed, source, target_rows, steps):
    net, steps = fresh(seed).to(memory_format=torch.channels_last), round(SHARE * steps)
    start = time.process_time()
    if name == "source only":
        tl.fit(net, source, steps=steps, batch_size=BATCH, lr=1e-3, seed=seed, device="cpu")
    else:
        method, weight = name.lower().replace(" ", "-"), METHODS[name][1]
        options = {"weight": weight, "steps": steps, "lr": 1e-3, "batch_size": BATCH, "seed": seed}
        tl.adapt(net, source, target_rows, method=method, device="cpu", **options)
    return lambda rows: tl.predict(net, rows, device="cpu").argmax(1), time.process_time() - start


def skadas(name, seed, rows, labels, domains, epochs):
    make, weight, options = METHODS[name]
    rate, momentum = (0.01, 0.9) if name == "DANN" else (0.1, 0.6)
    if name == "DANN":
        parts = [Reversal()]
        for width in (128, 1024):
            parts += [nn.Linear(width, 1024), nn.ReLU(), nn.Dropout(0.5)]
        judge = nn.Sequential(*parts, nn.Linear(1024, 1), nn.Sigmoid(), nn.Flatten(0))
        options = {"domain_classifier": judge, "num_features": 128}
    if name != "source only":
        options = options | {"reg": weight}
    torch.manual_seed(seed)
    net = make(
        Classifier(fresh(seed)),
        layer_name="features",
        batch_size=BATCH,
        max_epochs=epochs,
        lr=rate,
        optimizer=torch.optim.SGD,
        optimizer__momentum=momentum,
        optimizer__weight_decay=1e-5,
        callbacks=[LRScheduler(policy="StepLR", step_every="epoch", step_size=10, gamma=0.2)],
        train_split=None,
        verbose=0,
        device="cpu",
        **options,
    )
    start = time.process_time()
    net.fit(rows, labels, sample_domain=domains)
    seconds = time.process_time() - start
    return lambda rows: net.predict(rows, sample_domain=np.full(len(rows), -2)), seconds


def measure(arrow, seed, options, done):
    """Measure both sides of each method on one split; add the rows to the store."""
    pairs = [rows_of(name, options.usps) for name in arrow]
    if options.examples:
        pairs = [(rows[: options.examples], labels[: options.examples]) for rows, labels in pairs]
    merged = source_target_merge(pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1])
    rows, labels, domains = (np.asarray(part) for part in merged)
    split = StratifiedDomainShuffleSplit(n_splits=1, test_size=0.2, random_state=seed)
    train, test = next(iter(split.split(rows, labels, domains)))
    test, is_source = test[domains[test] < 0], domains[train] > 0
    source = data.Domain(
        "source", rows[train][is_source], labels[train][is_source], tuple("0123456789")
    )
    target_rows = rows[train][~is_source]
    masked = np.where(is_source, labels[train], -1)
    larger = max(len(source), len(target_rows))
    for name in options.methods:
        updates = options.epochs * ((len(source) if name == "source only" else larger) // BATCH)
        for side in ("course", "skada"):
            if (arrow[0], seed, name, side, options.epochs) in done:
                continue
            if side == "course":
                answer, seconds = course(name, seed, source, target_rows, updates)
            else:
                masks = (rows[train], masked, domains[train])
                answer, seconds = skadas(name, seed, *masks, options.epochs)
            accuracy = 100 * (answer(rows[test]) == labels[test]).mean()
            row = {"source": arrow[0], "seed": seed, "method": name, "side": side}
            row |= {"epochs": options.epochs, "accuracy": accuracy, "seconds": seconds}
            with open(options.store, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def print_table(rows, epochs):
    found = defaultdict(dict)
    for row in rows:
        if row["epochs"] == epochs:
            key = row["source"], row["method"]
            found[key].setdefault(row["seed"], {})[row["side"]] = row
    print(f"{'':16}{'course':>20}{'skada':>28}{'time ratio':>16}")
    for source, target in ARROWS:
        print(f"{source} -> {target}")
        for name in METHODS:
            pairs = [pair for pair in found[source, name].values() if len(pair) == 2]
            if not pairs:
                continue
            line = f"  {name:14}"
            for side in ("course", "skada"):
                accuracies = [pair[side]["accuracy"] for pair in pairs]
                spread = f"± {np.std(accuracies, ddof=1):3.1f}" if len(pairs) > 1 else ""
                seconds = np.mean([pair[side]["seconds"] for pair in pairs])
                line += f"{np.mean(accuracies):8.1f} {spread:5} in {seconds:5.0f} s   "
            ratios = [pair["course"]["seconds"] / pair["skada"]["seconds"] for pair in pairs]
            print(f"{line}{np.median(ratios):8.2f}  (splits: {len(pairs)})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", default="skada_bench.jsonl", help="rows measured so far")
    parser.add_argument("--usps", help="as for digits_adaptation.py")
    parser.add_argument("--seeds", type=int, default=3, help="splits; 0 only prints the table")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--examples", type=int, help="of each domain at most, to try it out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keys = ("source", "seed", "method", "side", "epochs")
    done = {tuple(row[key] for key in keys) for row in read(options.store)}
    for seed in range(options.seeds):
        for arrow in ARROWS:
            measure(arrow, seed, options, done)
    which = "sharp grey levels" if options.usps else "LIBSVM's smoothed grey levels"
    print("Accuracy on the held-out fifth of the target in %, mean ± standard deviation over")
    print(f"splits; seconds of one CPU thread. skada: {options.epochs} epochs. USPS: {which}.")
    print("Wanted: a time ratio <= 0.50 and no lower accuracy than skada's within its spread.\n")
    print_table(read(options.store), options.epochs)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
