"""Deep adaptation between MNIST and USPS, beside published rows.

    TLCOURSE_DATA=<folder> python benchmarks/mnist_usps.py > benchmarks/results/mnist_usps.txt

The folder holds, or gets by download, MNIST and USPS as `tlcourse.data.load_download` keeps them.

Protocol. Source: 5,000 labelled images of one data set's training part. Target: 5,000 images of
the other's training part, without labels. Test: the whole test part of the target (USPS 2,007,
MNIST 10,000), looked at once at the end. Images 32x32: MNIST with a border, USPS resampled from
16x16. Net: small-cnn, 0.1 million parameters, from a random start; 400 updates of 64 examples of
each domain, AdamW with a one-cycle rate of 0.003 (DANN: 0.001). Rates and weights of the distances
are the package's defaults; nothing was selected here, so no label of the target chose anything.
"Target only" is the upper row: the same updates on 5,000 labelled target images. Each seed draws
other images.

The published rows are those of SKADA-Bench: a larger net on more images, settings chosen by
unsupervised scores. They tell where one stands, not who is better.
"""

import time
from collections import defaultdict

import numpy as np

import tlcourse.torch as tl
from tlcourse import data

SEEDS, STEPS, IMAGES = range(3), 400, 5_000
ARROWS = (("mnist", "usps"), ("usps", "mnist"))
PUBLISHED = {
    "source only": (94.2, 73.4),
    "Deep CORAL": (97.1, 89.9),
    "DAN": (95.0, 86.3),
    "DANN": (92.6, 86.8),
    "target only": (98.1, 98.9),
}


def fresh(seed):
    return tl.TransferModel(tl.backbone("small-cnn", seed=seed), 10, seed=seed)


def draw(domain, seed):
    return domain.subset(np.random.default_rng(seed).permutation(len(domain))[:IMAGES])


def plain(seed, train):
    net = fresh(seed)
    tl.fit(net, train, steps=STEPS, batch_size=64, lr=3e-3, seed=seed)
    return net


def one_seed(seed, source, target, test):
    """Yield the name of each row and its accuracy."""
    source, target = draw(source, seed), draw(target, seed)
    net = plain(seed, source)
    yield "source only", tl.evaluate(net, test).accuracy
    tl.adapt_batchnorm(net, target.inputs)
    yield "AdaBN", tl.evaluate(net, test).accuracy
    for name, method, weight in (
        ("weight 0 (control)", "dan", 0.0),
        ("Deep CORAL", "deep-coral", None),
        ("DAN", "dan", None),
        ("DANN", "dann", None),
    ):
        net = fresh(seed)
        tl.adapt(net, source, target.inputs, method=method, weight=weight, steps=STEPS, seed=seed)
        yield name, tl.evaluate(net, test).accuracy
    yield "target only", tl.evaluate(plain(seed, target), test).accuracy


def main():
    start, results = time.perf_counter(), defaultdict(list)
    for source_name, target_name in ARROWS:
        source, target = (data.load_download(name) for name in (source_name, target_name))
        test = data.load_download(target_name, part="test")
        for seed in SEEDS:
            for name, accuracy in one_seed(seed, source, target, test):
                results[name, source_name].append(100 * accuracy)
    print(
        f"accuracy on the target's test part in %, {len(SEEDS)} seeds, mean ± standard "
        "deviation;\nin brackets the published row\n"
    )
    print(f"{'':20}{'MNIST -> USPS':>22}{'USPS -> MNIST':>24}")
    for name in dict.fromkeys(name for name, _ in results):
        row = f"{name:20}"
        for place, (source_name, _) in enumerate(ARROWS):
            found = np.array(results[name, source_name])
            beside = f"({PUBLISHED[name][place]:.1f})" if name in PUBLISHED else ""
            row += f"{found.mean():9.1f} ± {found.std(ddof=1):3.1f} {beside:8}"
        print(row.rstrip())
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
