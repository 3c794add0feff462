"""Harder versions of a domain: unequal classes, wrong labels, a mixture of sources, a drift.

Design choices
--------------
- Each function takes domains and returns domains, so all that works on a domain works on these.
- What is damaged is the training data. Keep the test set apart before, and leave it as it is,
  except where the drift is the point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from tlcourse.checks import check_integer
from tlcourse.data.domain import Domain


def imbalanced(domain: Domain, ratio: float, *, seed: int) -> Domain:
    r"""Thin out the classes to a long tail: exponentially fewer examples from class to class.

    Class c keeps :math:`n \rho^{-c / (k - 1)}` examples, where n is the size of the smallest class
    before, so the first class keeps the most and the last one :math:`n / \rho`.

    Parameters
    ----------
    domain : Domain
        At least 2 classes, each with an example.
    ratio : float
        :math:`\rho`: size of the largest class over that of the smallest, at least 1.
    seed : int
        Seed of the choice and of the order.

    Returns
    -------
    Domain
        A subset; every class keeps at least one example.

    Raises
    ------
    ValueError
        If the ratio is below 1, or a class has no example.

    References
    ----------
    The profile of Cui, Jia, Lin, Song and Belongie, Class-Balanced Loss Based on Effective Number
    of Samples, CVPR 2019, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse import data
    >>> tail = data.imbalanced(data.load("iris"), 10, seed=0)
    >>> np.bincount(tail.labels).tolist()
    [50, 16, 5]
    """
    if not ratio >= 1:
        raise ValueError(f"ratio is {ratio!r}; it must be >= 1: largest class over smallest.")
    counts = np.bincount(domain.labels, minlength=domain.n_classes)
    if len(counts) < 2 or counts.min() < 1:
        raise ValueError(
            f"{domain.name!r} has {counts.tolist()} examples of its classes; each of at least 2 "
            "classes needs one."
        )
    rng = np.random.default_rng(seed)
    kept = counts.min() * ratio ** -np.linspace(0, 1, len(counts))
    rows = [
        rng.permutation(np.flatnonzero(domain.labels == label))[: max(1, round(size))]
        for label, size in enumerate(kept)
    ]
    return replace(
        domain.subset(rng.permutation(np.concatenate(rows))), name=f"{domain.name}, imbalanced"
    )


def corrupt_labels(domain: Domain, rate: float, *, seed: int) -> Domain:
    """Replace some labels by another class, drawn evenly from the others.

    Parameters
    ----------
    domain : Domain
        At least 2 classes.
    rate : float
        Share of wrong labels, from 0 to 1; it is met exactly, up to rounding.
    seed : int
        Seed of the choice.

    Returns
    -------
    Domain
        The same inputs in the same order; compare the labels to see which ones are wrong.

    Raises
    ------
    ValueError
        If the rate is not from 0 to 1, or there is one class only.

    Examples
    --------
    >>> from tlcourse import data
    >>> iris = data.load("iris")
    >>> noisy = data.corrupt_labels(iris, 0.2, seed=0)
    >>> int((noisy.labels != iris.labels).sum())
    30
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate!r}; it must be from 0 to 1, the share of wrong labels.")
    if domain.n_classes < 2:
        raise ValueError(f"{domain.name!r} has one class; a wrong label needs another class.")
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(domain))[: round(rate * len(domain))]
    labels = domain.labels.copy()
    labels[wrong] += rng.integers(1, domain.n_classes, size=len(wrong))
    return replace(domain, labels=labels % domain.n_classes, name=f"{domain.name}, noisy labels")


def mix_domains(
    domains: Sequence[Domain], n: int, *, weights: ArrayLike | None = None, seed: int
) -> Domain:
    """Draw one training set from several sources of the same classes.

    Parameters
    ----------
    domains : sequence of Domain
        The same class names and shapes of inputs.
    n : int
        Examples in the mixture. A domain asked for more than it has gives its examples again.
    weights : array-like of float, shape (number of domains,), optional
        Shares of the domains, in proportion; by default equal. The method ``weights`` of
        `tlcourse.scores.Ranking` gives some by score.
    seed : int
        Seed of the draw and of the order.

    Returns
    -------
    Domain

    Raises
    ------
    ValueError
        If classes or shapes differ, a domain is empty, or weights or ``n`` are out of range.

    Examples
    --------
    >>> from tlcourse import data
    >>> iris = data.load("iris")
    >>> halves = iris.subset(slice(0, 150, 2)), iris.subset(slice(1, 150, 2))
    >>> data.mix_domains(halves, 60, weights=[2, 1], seed=0)
    Domain('iris + iris', 60 x 4, 3 classes)
    """
    shares = np.ones(len(domains)) if weights is None else np.asarray(weights, dtype=float)
    if (
        not domains
        or shares.shape != (len(domains),)
        or not (np.isfinite(shares).all() and shares.min() >= 0 and shares.sum() > 0)
    ):
        raise ValueError(
            f"weights are {weights!r} for {len(domains)} domains; give one number >= 0 for each, "
            "not all zero."
        )
    check_integer("n", n)
    for domain in domains:
        _check_same_kind(domains[0], domain)
    rng = np.random.default_rng(seed)
    edges = np.rint(n * np.cumsum(shares) / shares.sum()).astype(int)
    parts = [
        domain.subset(_draw(rng, len(domain), size))
        for domain, size in zip(domains, np.diff(edges, prepend=0), strict=True)
    ]
    order = rng.permutation(n)
    return Domain(
        " + ".join(domain.name for domain in domains),
        np.concatenate([part.inputs for part in parts])[order],
        np.concatenate([part.labels for part in parts])[order],
        domains[0].class_names,
        "; ".join(dict.fromkeys(domain.origin for domain in domains)),
        "; ".join(dict.fromkeys(domain.licence for domain in domains)),
    )


def drifting(
    domain: Domain, parts: int, change: Callable[[np.ndarray, float], np.ndarray], *, seed: int
) -> list[Domain]:
    """Turn a domain into a stream of domains that changes step by step.

    Parameters
    ----------
    domain : Domain
        What to draw from.
    parts : int
        Length of the stream, at least 2; each part gets other examples.
    change : callable
        ``change(inputs, progress) -> inputs`` of the same shape, where ``progress`` runs from 0 at
        the first part to 1 at the last. Example: ``lambda x, t: x * (1 - 0.9 * t)``, nightfall.
    seed : int
        Seed of the draw.

    Returns
    -------
    list of Domain
        In order of time, of equal size but for one example.

    Raises
    ------
    ValueError
        If there are more parts than examples, or changed inputs are no longer valid.

    Examples
    --------
    >>> from tlcourse import data
    >>> signs = data.load("signs", n=90)
    >>> evening = data.drifting(signs, 3, lambda x, t: x * (1 - 0.9 * t), seed=0)
    >>> [part.name for part in evening]
    ['signs, part 1', 'signs, part 2', 'signs, part 3']
    """
    if not isinstance(parts, int | np.integer) or not 2 <= parts <= len(domain):
        raise ValueError(
            f"parts is {parts!r}; it must be an integer from 2 to the {len(domain)} examples of "
            f"{domain.name!r}."
        )
    order = np.random.default_rng(seed).permutation(len(domain))
    stream = []
    for step, rows in enumerate(np.array_split(order, parts)):
        part = domain.subset(rows)
        changed = np.asarray(change(np.asarray(part.inputs), step / (parts - 1)), dtype=np.float32)
        stream.append(part.with_inputs(changed, name=f"{domain.name}, part {step + 1}"))
    return stream


def _draw(rng, available, size):
    """Return ``size`` row numbers in random order, each as often as any other or once more."""
    whole, rest = divmod(int(size), available)
    rows = np.concatenate([np.tile(np.arange(available), whole), rng.permutation(available)[:rest]])
    return rng.permutation(rows).astype(int)


def _check_same_kind(first, other):
    """Refuse domains that cannot stand in one training set."""
    if not len(other):
        raise ValueError(f"domain {other.name!r} is empty; leave it out.")
    if other.class_names != first.class_names:
        raise ValueError(
            f"{other.name!r} has the classes {other.class_names[:5]}..., but {first.name!r} "
            f"{first.class_names[:5]}...; a mixture needs the same classes in the same order."
        )
    if other.inputs.shape[1:] != first.inputs.shape[1:]:
        raise ValueError(
            f"inputs of {other.name!r} have shape {other.inputs.shape[1:]}, those of "
            f"{first.name!r} {first.inputs.shape[1:]}; bring them to one size first."
        )
