"""MNIST and USPS without a label of the target: frame, augmentation, methods, and who chooses.

    TLCOURSE_DATA=<folder> python benchmarks/digits_adaptation.py --store rows.jsonl \
        > benchmarks/results/digits_adaptation.txt

The folder holds, or gets by download, MNIST and USPS as `tlcourse.data.load_download` keeps them.
``--usps`` takes the same digits with their sharp grey levels instead: a folder with zip.train.gz
and zip.test.gz of *The Elements of Statistical Learning*
(https://hastie.su.domains/ElemStatLearn/datasets/), or an .npz with train_x, train_y, test_x and
test_y. What is in the store is not measured again, so an interrupted run goes on where it stopped.

Protocol. Source: the whole training part of one data set (MNIST 60,000, USPS 7,291) with labels.
Target: the inputs of the other's training part, no labels. Test: the whole test part of the target
(USPS 2,007, MNIST 10,000), once for each row. Net: small-cnn, 0.1 million parameters, 32x32, from a
random start that varies with the seed, channels last. All settings were fixed beforehand and are
the same in both directions: 120,000 source pictures seen in batches of 128, label smoothing 0.1,
AdamW with a one-cycle rate of 0.004; then, for what adapts, AdamW 0.001 and 75,000 target pictures
(with as many of the source where a method needs it), pseudo-labels above 0.9, weights of the losses
as the package has them. BatchNorm's statistics are measured on the target at the end of SHOT-IM,
MCC and FixMatch; Deep CORAL, DAN and DANN keep those of both domains together.

"Framed": both data sets through `data.frame_digits`, a rule from how MNIST was made. Frames as they
come: MNIST 28x28 padded to 32, USPS 16x16 resampled to 32. Seconds are those of one CPU thread,
from the random start to the adapted net, without loading and framing.

Scores that need no target label (`tlcourse.scores`), on 1,000 target inputs of the training part
and 1,000 source examples of the test part: certainty of the answers, infomax, agreement of the
answers to plain and augmented pictures, accuracy on the source, and the same weighted by importance
weights of the features.
"""

import argparse
import json
import os
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # two processes side by side, one thread each

import numpy as np
import torch
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse import data, scores
from tlcourse.batches import equal_batches
from tlcourse.data.downloads import resize_images
from tlcourse.torch.devices import seeded
from tlcourse.torch.training import to_tensor

ARROWS = (("mnist", "usps"), ("usps", "mnist"))
BATCH, SCORED = 128, 1_000
STEPS, ADAPTATION_STEPS = 120_000 // BATCH, 75_000 // BATCH
ROWS = {  # what is measured in one go, in this order
    "framed": (
        "source only, framed",
        "source only, framed and augmented",
        "  + SHOT-IM",
        "  + MCC",
        "  + SHOT-IM with FixMatch",
    ),
    "target": ("target only, framed and augmented",),
    "raw": (
        "source only, frames as they come",
        "  + AdaBN",
        "  + SHOT-IM, not augmented",
    ),
    "framed, others": ("  + FixMatch alone",),
    "raw, others": ("  + Deep CORAL", "  + DAN", "  + DANN"),
}
TABLE = ("raw", "raw, others", "framed", "framed, others", "target")
SCORES = ("certainty", "infomax", "agreement", "source accuracy", "weighted source accuracy")
PUBLISHED = """\
Published, not measured here: other and larger nets, other frames, other splits.

SHOT, LeNet (Liang et al., ICML 2020)   97.9                      98.0
SHOT's oracle: target only              97.0                      99.2
SKADA-Bench 1.0, settings chosen with target labels (its scorer "supervised")
  source only                           94.2                      73.4
  Deep CORAL                            97.1                      89.9
  DAN                                   95.0                      86.3
  DANN                                  92.6                      86.8
  MCC                                   98.2                      90.4
  target only                           98.1                      98.9
SKADA-Bench 1.0, settings chosen without them (its scorer "prediction_entropy")
  Deep CORAL                            95.6                      79.4
  DAN                                   93.1                       9.9
  DANN                                  95.6                      86.4
  MCC                                   98.2                      88.3"""


# ---- data


def sharp_usps(path, part, size=32):
    """Read the digits of the book's authors: a folder of their two text files, or an .npz."""
    if Path(path).is_dir():
        rows = np.loadtxt(Path(path, f"zip.{part}.gz"), dtype=np.float32)
        images, labels = (rows[:, 1:] + 1) / 2, rows[:, 0]
    else:
        arrays = np.load(path)
        images, labels = arrays[f"{part}_x"].astype(np.float32) / 255, arrays[f"{part}_y"]
    images = images.reshape(-1, 16, 16, 1)
    return images if size == 16 else resize_images(images, size), labels.astype(np.int64)


@cache
def load(name, part, is_framed, usps):
    """Load one part of a data set, in its own frame or in MNIST's."""
    if name == "usps" and usps:
        domain = data.Domain(name, *sharp_usps(usps, part), tuple("0123456789"))
    else:
        domain = data.load_download(name, part=part)
    return domain.with_inputs(data.frame_digits(domain.inputs)) if is_framed else domain


# ---- training


smoothed = partial(F.cross_entropy, label_smoothing=0.1)
ADAPTATION = {"steps": ADAPTATION_STEPS, "lr": 1e-3, "batch_size": BATCH, "device": "cpu"}


def trained(seed, train, augment, file):
    """Train a net from a random start, or read it if it was; return it and the seconds."""
    net = tl.TransferModel(tl.backbone("small-cnn", seed=seed), 10, seed=seed)
    net.to(memory_format=torch.channels_last)
    if file.exists():
        kept = torch.load(file, weights_only=True)
        net.load_state_dict(kept["state"])
        return net.eval(), kept["seconds"]
    options = {"batch_size": BATCH, "lr": 4e-3, "loss": smoothed, "seed": seed, "device": "cpu"}
    start = time.process_time()
    tl.fit(net, train, steps=STEPS, augment=augment, **options)
    seconds = time.process_time() - start
    file.parent.mkdir(exist_ok=True)
    torch.save({"state": net.state_dict(), "seconds": seconds}, file.with_suffix(".part"))
    file.with_suffix(".part").rename(file)
    return net, seconds


def fixmatch(net, source, target, augment, seed):
    """Train on the source, and on the sure answers to the target's plain pictures."""
    batches = equal_batches(len(target), BATCH, np.random.default_rng([seed, 1]))

    def penalty(net):
        plain = to_tensor(target[next(batches)], torch.device("cpu"))
        return tl.agreement_loss(net(plain), net(augment(plain)))

    tl.fit(net, source, loss=smoothed, augment=augment, penalty=penalty, seed=seed, **ADAPTATION)
    tl.adapt_batchnorm(net, target, device="cpu")


def mcc(net, source, target, augment, seed):
    """Train on both domains' augmented pictures."""
    tl.adapt(net, source, target, method="mcc", augment=augment, seed=seed, **ADAPTATION)
    tl.adapt_batchnorm(net, target, device="cpu")


def ways(group, seed, source, target, nets):
    """Return what makes each row of a group: its start, and how to adapt it."""
    augment = tl.strokes_augmentation()
    begin = partial(trained, seed)
    free = partial(tl.adapt_source_free, target_inputs=target.inputs, seed=seed, **ADAPTATION)
    both = {"source": source, "target_inputs": target.inputs, "seed": seed}
    joint = partial(tl.adapt, **both, **ADAPTATION)
    arguments = {"source": source, "target": target.inputs, "augment": augment, "seed": seed}
    raw = partial(begin, source, None, nets / "raw.pt")
    framed = partial(begin, source, augment, nets / "framed-augmented.pt")
    return {
        "framed": (
            (partial(begin, source, None, nets / "framed.pt"), None),
            (framed, None),
            (framed, free),
            (framed, partial(mcc, **arguments)),
            (framed, partial(free, agreement=1.0, augment=augment)),
        ),
        "framed, others": ((framed, partial(fixmatch, **arguments)),),
        "target": ((partial(begin, target, augment, nets / "target.pt"), None),),
        "raw": (
            (raw, None),
            (raw, partial(tl.adapt_batchnorm, inputs=target.inputs, device="cpu")),
            (raw, free),
        ),
        "raw, others": [
            (raw, partial(joint, method=name)) for name in ("deep-coral", "dan", "dann")
        ],
    }[group]


def adapted(start, way):
    """Make the net of a row; return it and all seconds that it cost."""
    net, spent = start()
    net, begun = deepcopy(net), time.process_time()
    if way is not None:
        way(net)
    return net, spent + time.process_time() - begun


# ---- what a net is worth, with labels of the target and without


def scored(net, source, target):
    """Score a net without a label of the target; higher is better."""
    features = [tl.extract_features(net, inputs) for inputs in (source.inputs, target)]
    with torch.no_grad(), seeded(0):
        answers = [net.head(torch.from_numpy(rows)).numpy() for rows in features]
        changed = net(tl.strokes_augmentation()(to_tensor(target, torch.device("cpu")))).numpy()
    weights = scores.importance_weights(*features, seed=0)
    values = (
        scores.certainty(answers[1]),
        scores.infomax(answers[1]),
        scores.agreement(answers[1], changed),
        scores.source_validation(answers[0], source.labels),
        scores.source_validation(answers[0], source.labels, weights=weights),
    )
    return dict(zip(SCORES, values, strict=True))


def measure(group, arrow, seed, usps, store, done):
    """Measure the rows of a group that are not in the store."""
    torch.set_num_threads(1)
    source, target = (
        {part: load(name, part, "raw" not in group, usps) for part in ("train", "test")}
        for name in arrow
    )
    chosen = np.random.default_rng(seed).permutation(len(target["train"]))[:SCORED]
    held_out = source["test"].subset(np.random.default_rng(seed).permutation(2_000)[:SCORED])
    nets = Path(f"{store}.nets", f"{arrow[0]}-{seed}")
    nets.parent.mkdir(exist_ok=True)
    found = ways(group, seed, source["train"], target["train"], nets)
    for name, (start, way) in zip(ROWS[group], found, strict=True):
        if (group, name, arrow[0], seed) in done:
            continue
        net, seconds = adapted(start, way)
        row = {"group": group, "row": name, "source": arrow[0], "seed": seed, "seconds": seconds}
        row["accuracy"] = 100 * tl.evaluate(net, target["test"], device="cpu").accuracy
        row |= scored(net, held_out, target["train"].inputs[chosen])
        with open(store, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


# ---- the tables


def read(store):
    """Read the rows that are there."""
    if not Path(store).exists():
        return []
    return [json.loads(line) for line in Path(store).read_text("utf-8").splitlines()]


def summary(values):
    """Return mean and spread of accuracies, and how many they are."""
    if not values:
        return ""
    spread = f"± {np.std(values, ddof=1):4.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):6.2f} {spread:6} ({len(values)})"


def print_rows(rows):
    found = defaultdict(list)
    for row in rows:
        found[row["group"], row["row"], row["source"]].append((row["accuracy"], row["seconds"]))
    print(f"{'':36}{'MNIST -> USPS':>19}{'USPS -> MNIST':>26}")
    for group in TABLE:
        for name in ROWS[group]:
            line = f"{name:36}"
            for source, _ in ARROWS:
                runs = found[group, name, source]
                seconds = f"{np.mean([run[1] for run in runs]):4.0f} s" if runs else ""
                line += f"  {summary([run[0] for run in runs]):18}{seconds:>6}"
            print(line.rstrip())


def print_choices(rows):
    """Print what each score would have chosen among all rows but the target's own."""
    cells = defaultdict(list)
    for row in rows:
        if row["group"] != "target":
            cells[row["source"], row["seed"]].append(row)
    most = max((len(cell) for cell in cells.values()), default=0)
    whole = {key: cell for key, cell in cells.items() if len(cell) == most}
    print(f"\nThe row that a score would have chosen, among {most}, without a target label\n")
    for score in (*SCORES, "accuracy"):
        line, names = f"{score if score != 'accuracy' else '(best, by target labels)':36}", []
        for source, _ in ARROWS:
            best = [max(c, key=lambda r: r[score]) for k, c in whole.items() if k[0] == source]
            names.append(Counter(row["row"].strip(" +") for row in best))
            line += f"  {summary([row['accuracy'] for row in best]):24}"
        print(line.rstrip())
        for names_of, (source, target) in zip(names, ARROWS, strict=True):
            often = ", ".join(f"{name} {n}x" for name, n in names_of.most_common())
            print(f"    {source} -> {target}: {often}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", default="digits_adaptation.jsonl", help="rows measured so far")
    parser.add_argument("--usps", help="a folder with zip.train.gz and zip.test.gz, or an .npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="processes; 0 only prints the tables")
    parser.add_argument("--groups", nargs="+", default=list(ROWS), choices=list(ROWS))
    options = parser.parse_args()
    done = {(r["group"], r["row"], r["source"], r["seed"]) for r in read(options.store)}
    todo = [
        (group, arrow, seed)
        for group in options.groups
        for seed in range(options.seeds)
        for arrow in ARROWS
        if any((group, name, arrow[0], seed) not in done for name in ROWS[group])
    ]
    if options.jobs:
        with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
            runs = [pool.submit(measure, *job, options.usps, options.store, done) for job in todo]
            for run in runs:
                run.result()
    rows = read(options.store)
    which = "sharp grey levels" if options.usps else "LIBSVM's smoothed grey levels"
    print("Accuracy on the target's test part in %, mean ± standard deviation (seeds); seconds of")
    print(f"one thread, all training together. USPS: {which}.\n")
    print_rows(rows)
    print("\nUSPS's test part has 2,007 digits: at 98 % its own standard error is 0.3.")
    print_choices(rows)
    print("\n" + PUBLISHED)


if __name__ == "__main__":
    main()
