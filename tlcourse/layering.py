"""A net as named layers: choose some by glob, give each a rate, compare two nets by name.

Design choices
--------------
- Names only: which tensors or variables belong to a name is each door's own business. So both
  doors choose, count and compare alike, and answer mistakes in the same words.
- A glob that matches nothing is an error, and what lies below a matching container matches too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np


def match_names(names: Iterable[str], patterns: Collection[str], what: str) -> list[str]:
    """Return the names that match or lie below a match, after checking each glob.

    Parameters
    ----------
    names : iterable of str
        What to choose from.
    patterns : collection of str
        Globs; ``*`` also matches dots.
    what : str
        What the names stand for, for the message.

    Returns
    -------
    list of str
        In the order of ``names``.

    Raises
    ------
    ValueError
        If no pattern is given or one matches nothing.

    Examples
    --------
    >>> from tlcourse.layering import match_names
    >>> match_names(["body.conv", "body.norm", "head"], ["*.norm", "head"], "layers")
    ['body.norm', 'head']
    >>> match_names(["body.conv", "body.norm", "head"], ["body"], "layers")
    ['body.conv', 'body.norm']
    """
    names = list(names)
    if not patterns:
        raise ValueError(f"no pattern is given; give globs on {what} such as 'backbone' or 'head'.")
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(
                f"pattern {pattern!r} matches none of the {what}; there are {_some(names)}."
            )
    return [name for name in names if any(matches(name, pattern) for pattern in patterns)]


def matches(name: str, pattern: str) -> bool:
    """Say whether a name, or a container that it lies in, matches a glob.

    Parameters
    ----------
    name : str
        With dots between containers.
    pattern : str
        A glob.

    Returns
    -------
    bool

    Examples
    --------
    >>> from tlcourse.layering import matches
    >>> matches("backbone.block1.conv", "backbone.block[12]")
    True
    """
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[: end + 1]), pattern) for end in range(len(parts)))


def group_by_rate(
    names: Collection[str], trainable: Collection[str], lr: float | Mapping[str, float], kind: str
) -> list[tuple[float, list[str]]]:
    """Part what can be trained into groups of one learning rate each.

    Parameters
    ----------
    names : collection of str
        All names of the model, those of frozen parts included.
    trainable : collection of str
        The names among them that are to be trained.
    lr : float or dict of str to float
        One rate, or one for each glob; the first glob that matches counts.
    kind : str
        What a name stands for, such as ``"layer"``, for the message.

    Returns
    -------
    list of (float, list of str)
        Rate and names of each group that is not empty, in the order of the globs.

    Raises
    ------
    ValueError
        If nothing can be trained, a rate is not positive, a glob matches nothing, or a name has
        no rate.

    Examples
    --------
    >>> from tlcourse.layering import group_by_rate
    >>> group_by_rate(["body.a", "head"], ["body.a", "head"], {"head": 0.1, "*": 0.01}, "layer")
    [(0.1, ['head']), (0.01, ['body.a'])]
    """
    if not trainable:
        raise ValueError("model has no parameter to train: all are frozen; unfreeze some first.")
    rates = dict(lr) if isinstance(lr, Mapping) else {"*": lr}
    if any(not rate > 0 for rate in rates.values()):
        raise ValueError(f"lr is {lr!r}; rates must be > 0 (to keep a layer still, freeze it).")
    match_names(names, list(rates), f"{kind}s")
    groups: dict[str, list[str]] = {pattern: [] for pattern in rates}
    for name in trainable:
        pattern = next((glob for glob in rates if matches(name, glob)), None)
        if pattern is None:
            raise ValueError(
                f"lr {lr!r} has no rate for the {kind} {name!r}; add a glob for it, such as "
                "'*', or freeze it."
            )
        groups[pattern].append(name)
    return [(rates[pattern], members) for pattern, members in groups.items() if members]


def falling_rates(n_layers: int, top: float, decay: float) -> list[float]:
    r"""Compute one learning rate for each layer, falling from the head to the input.

    Layer :math:`l` learns at :math:`\eta_{l} = \eta_{l+1} / \mathrm{decay}`.

    Parameters
    ----------
    n_layers : int
        Number of layers, the head included.
    top : float
        Learning rate of the head.
    decay : float
        Ratio of the rates of neighbouring layers, at least 1.

    Returns
    -------
    list of float
        From the input to the head.

    Raises
    ------
    ValueError
        If ``top`` is not positive or ``decay`` is below 1.

    References
    ----------
    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
    section 3.2.

    Examples
    --------
    >>> from tlcourse.layering import falling_rates
    >>> falling_rates(3, 0.8, 2)
    [0.2, 0.4, 0.8]
    """
    if not top > 0 or not decay >= 1:
        raise ValueError(f"top is {top!r} and decay {decay!r}; top must be > 0 and decay >= 1.")
    return [top / decay**depth for depth in reversed(range(n_layers))]


def check_depth(parameter: str, k: int, n_layers: int, *, least: int) -> None:
    """Refuse a number of layers that the net does not have.

    Parameters
    ----------
    parameter : str
        The caller's parameter, for the message.
    k : int
        What was given.
    n_layers : int
        Layers of the net.
    least : int
        Smallest number allowed.

    Raises
    ------
    ValueError
        If it is no integer from ``least`` to ``n_layers``.

    Examples
    --------
    >>> from tlcourse.layering import check_depth
    >>> check_depth("k", 2, 5, least=1)
    """
    is_count = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if not is_count or not least <= k <= n_layers:
        raise ValueError(
            f"{parameter} is {k!r}; this net has {n_layers} layers, so give an integer from "
            f"{least} to {n_layers} (see layer_names)."
        )


@dataclass(frozen=True)
class CopyReport:
    """What `copy_parameters` did.

    Attributes
    ----------
    copied : tuple of str
        Names of the parameters and statistics that were copied.
    skipped : dict of str to str
        For every other name of either net: why it was not copied.
    """

    copied: tuple[str, ...]
    skipped: dict[str, str]

    def __str__(self) -> str:
        """List what was skipped, and count what was copied."""
        lines = [f"copied {len(self.copied)}, skipped {len(self.skipped)}"]
        return "\n".join(lines + [f"  {name}: {why}" for name, why in self.skipped.items()])


def compare_weights(
    given: Mapping[str, Sequence[int]],
    wanted: Mapping[str, Sequence[int]],
    parameters: Collection[str],
) -> CopyReport:
    """Find what agrees in name and shape between two nets.

    Parameters
    ----------
    given, wanted : dict of str to tuple of int
        Names and shapes of the source's and of the target's weights.
    parameters : collection of str
        The target's names that are parameters rather than statistics.

    Returns
    -------
    CopyReport
        What is to be copied, and what not and why.

    Raises
    ------
    ValueError
        If no parameter agrees.

    Examples
    --------
    >>> from tlcourse.layering import compare_weights
    >>> print(compare_weights({"w": (2, 3), "b": (3,)}, {"w": (2, 3), "b": (4,)}, {"w", "b"}))
    copied 1, skipped 1
      b: shape: (3,) in the source, (4,) in the target
    """
    copied, skipped = [], {}
    for name, shape in wanted.items():
        if name not in given:
            skipped[name] = "missing: the source has no such name"
        elif tuple(given[name]) != tuple(shape):
            skipped[name] = (
                f"shape: {tuple(given[name])} in the source, {tuple(shape)} in the target"
            )
        else:
            copied.append(name)
    skipped |= {name: "unused: the target has no such name" for name in given if name not in wanted}
    if not set(copied) & set(parameters):
        few = "; ".join(f"{name!r}: {why}" for name, why in list(skipped.items())[:4])
        raise ValueError(
            f"source and target share no parameter by name and shape ({few}); "
            "rename entries or choose another source."
        )
    return CopyReport(tuple(copied), skipped)


def _some(names: list[str], most: int = 12) -> str:
    """List names, the shortest paths first."""
    ordered = sorted((name for name in names if name), key=lambda name: (name.count("."), name))
    more = ", ..." if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more
