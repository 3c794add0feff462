"""Adapt rendered digits to unlabelled handwriting: every method, five seeds.

    python benchmarks/adaptation.py > benchmarks/results/adaptation.txt

Protocol. Source: 5,000 rendered digits with labels. Target: 1,797 handwritten digits without.
Net: small-cnn from a random start. Deep methods: 500 updates of 64 examples of each domain, AdamW
with a one-cycle rate of 0.003 (DANN 0.001); source only: as many updates on the source alone. The
weights of the distances are the package's defaults and were not chosen here. Shallow methods
align the features of the source-only net and fit logistic regression on the aligned source. No
target label is used for training or choice; all 1,797 measure the result. The control "weight 0"
passes both domains through BatchNorm together and minimises no distance.
"""

import time
from collections import defaultdict

import numpy as np

import tlcourse.torch as tl
from tlcourse import data
from tlcourse.align import CORAL, TCA, SubspaceAlignment, classify_aligned

SEEDS, STEPS = range(5), 500


def fresh(seed):
    return tl.TransferModel(tl.backbone("small-cnn", seed=seed), 10, seed=seed)


def shallow(aligner, source, target, labels, true_labels):
    start = time.perf_counter()
    predicted = classify_aligned(aligner, source, labels, target)
    return (predicted == true_labels).mean(), time.perf_counter() - start


def one_seed(seed, source, target, results):
    def keep(name, net, seconds):
        results[name].append((tl.evaluate(net, target).accuracy, seconds))

    net = fresh(seed)
    history = tl.fit(net, source, steps=STEPS, batch_size=64, lr=3e-3, seed=seed)
    keep("source only", net, history.seconds)
    few = source.subset(np.random.default_rng(seed).permutation(len(source))[:1500])
    rows = [tl.extract_features(net, inputs) for inputs in (few.inputs, target.inputs)]
    for name, aligner in (
        ("CORAL", CORAL()),
        ("subspace alignment", SubspaceAlignment(20)),
        ("TCA", TCA(20)),
    ):
        results[name].append(shallow(aligner, *rows, few.labels, target.labels))
    start = time.perf_counter()
    tl.adapt_batchnorm(net, target.inputs)
    keep("AdaBN", net, time.perf_counter() - start)
    for name, method, weight in (
        ("weight 0 (control)", "dan", 0.0),
        ("Deep CORAL", "deep-coral", None),
        ("DAN", "dan", None),
        ("DANN", "dann", None),
    ):
        net = fresh(seed)
        history = tl.adapt(
            net, source, target.inputs, method=method, weight=weight, steps=STEPS, seed=seed
        )
        keep(name, net, history.seconds)


def main():
    source, target = data.load("rendered-digits"), data.load("handwritten-digits")
    results = defaultdict(list)
    for seed in SEEDS:
        one_seed(seed, source, target, results)
    print("rendered-digits -> unlabelled handwritten-digits, accuracy on the target in %")
    print(f"{len(SEEDS)} seeds, mean ± standard deviation; seconds on this CPU\n")
    baseline = np.array([accuracy for accuracy, _ in results["source only"]])
    for name, runs in results.items():
        accuracy, seconds = np.array(runs).T
        gain = 100 * (accuracy - baseline)
        print(
            f"{name:20} {100 * accuracy.mean():5.1f} ± {100 * accuracy.std(ddof=1):3.1f}   gain "
            f"{gain.mean():+5.1f} ({gain.min():+5.1f} to {gain.max():+5.1f})   "
            f"{seconds.mean():6.2f} s"
        )


if __name__ == "__main__":
    main()
