"""Do the transferability scores keep their promises? Run ``python benchmarks/scores.py``.

Prints LogME against two other implementations (value and time in the same process) and the time of
every score at n, 2n, 4n and 8n examples; the ratio of neighbours is 2 where time is linear.
"""

import statistics
import time
from functools import partial
from itertools import pairwise

import numpy as np

from tlcourse.scores import h_score, leep, logme, nce

REPEATS = 7
CLASSES = 10
SIZES = (5_000, 10_000, 20_000, 40_000)
SHAPES = ((2_000, 64), (5_000, 512), (400, 512))


def draw(n, d, seed=0):
    """Draw features with some class signal, source probabilities and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    means = rng.normal(size=(CLASSES, d)) / 4
    # Falling scales, as the spectra of network features have.
    features = (means[labels] + rng.normal(size=(n, d))) * np.geomspace(1, 0.1, d)
    theta = rng.dirichlet(np.ones(20), size=n)
    return features, theta, labels


def logme_by_algorithm_1(features, labels):
    """Follow the paper's Algorithm 1: decompose F'F, then iterate class by class."""
    n, d = features.shape
    v, sigma, vt = np.linalg.svd(features.T @ features)
    evidences = []
    for label in np.unique(labels):
        y, alpha, beta, ratio = (labels == label).astype(float), 1.0, 1.0, 1.0
        projected = vt @ (features.T @ y)
        for _ in range(100):
            gamma = (sigma / (sigma + ratio)).sum()
            m = v @ (projected * beta / (alpha + beta * sigma))
            weights, misfit = m @ m, ((y - features @ m) ** 2).sum()
            alpha, beta = gamma / weights, (n - gamma) / misfit
            previous, ratio = ratio, alpha / beta
            if abs(ratio - previous) <= 1e-6 * previous:
                break
        evidences.append(evidence(n, d, alpha, beta, sigma, misfit, weights))
    return np.mean(evidences)


def logme_by_fixed_point(features, labels):
    """Iterate in the singular basis, class by class, as the authors' later fast version does."""
    n, d = features.shape
    if n > d:
        _, squares, vt = np.linalg.svd(features.T @ features)
        u = features @ vt.T / np.sqrt(squares)
    else:
        u, singular, _ = np.linalg.svd(features, full_matrices=False)
        squares = singular**2
    sigma = np.zeros(d)
    sigma[: len(squares)] = squares
    evidences = []
    for label in np.unique(labels):
        y, ratio = (labels == label).astype(float), 1.0
        inside = (u.T @ y) ** 2
        outside = y @ y - inside.sum()
        for _ in range(100):
            gamma = (squares / (squares + ratio)).sum()
            weights = (squares * inside / (squares + ratio) ** 2).sum()
            misfit = (inside * (ratio / (squares + ratio)) ** 2).sum() + outside
            alpha, beta = gamma / weights, (n - gamma) / misfit
            previous, ratio = ratio, alpha / beta
            if abs(ratio - previous) <= 1e-6 * previous:
                break
        evidences.append(evidence(n, d, alpha, beta, sigma, misfit, weights))
    return np.mean(evidences)


def evidence(n, d, alpha, beta, sigma, misfit, weights):
    """Return the paper's log evidence per example."""
    determinant = np.log(alpha + beta * sigma).sum()
    quadratic = beta * misfit + alpha * weights
    normaliser = n * np.log(2 * np.pi)
    return (n * np.log(beta) + d * np.log(alpha) - quadratic - determinant - normaliser) / (2 * n)


def seconds(*calls):
    """Time the calls in turn, so that all meet the same machine; return the median of each."""
    times = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def compare_logme():
    """Print LogME's value and time beside both references."""
    print("LogME, 10 classes: median milliseconds (ratio to ours), difference of the values")
    print(
        f"{'n':>6} {'d':>5} {'ours':>8} {'Algorithm 1':>20} {'fixed point':>20} {'difference':>11}"
    )
    for n, d in SHAPES:
        features, _, labels = draw(n, d)
        functions = (logme, logme_by_algorithm_1, logme_by_fixed_point)
        values = [function(features, labels) for function in functions]
        calls = (partial(function, features, labels) for function in functions)
        ours, *others = seconds(*calls)
        columns = [f"{1e3 * other:9.1f} ({other / ours:6.2f} x)" for other in others]
        gap = max(abs(values[0] - value) for value in values[1:])
        print(f"{n:6} {d:5} {1e3 * ours:8.1f} {columns[0]:>20} {columns[1]:>20} {gap:11.1e}")


def scale_scores():
    """Print the time of each score as the number of examples doubles."""
    print("\nMilliseconds per call, d = 128, 20 source classes; ratio to half as many examples")
    print(f"{'score':>8} " + " ".join(f"{n:>16}" for n in SIZES))
    examples = [draw(n, 128) for n in SIZES]
    calls = {
        "LEEP": [partial(leep, theta, labels) for _, theta, labels in examples],
        "NCE": [partial(nce, theta.argmax(axis=1), labels) for _, theta, labels in examples],
        "H-score": [partial(h_score, features, labels) for features, _, labels in examples],
        "LogME": [partial(logme, features, labels) for features, _, labels in examples],
    }
    for name, sizes in calls.items():
        times = seconds(*sizes)
        ratios = ["", *(f"({b / a:.2f} x)" for a, b in pairwise(times))]
        columns = (f"{1e3 * t:7.1f} {r:>8}" for t, r in zip(times, ratios, strict=True))
        print(f"{name:>8} " + " ".join(columns))


if __name__ == "__main__":
    compare_logme()
    scale_scores()
