"""Plots of the book: each takes data and returns Axes.

Design choices
--------------
- A plot measures nothing and chooses nothing: it shows the table or object that it is given.
- Colours go by order and are those of Okabe and Ito (2008), told apart by most colour-blind
  readers; a marker and a line style of its own say the same without colour.
- Figures have an opaque white background and text of at least 9 points, so they are legible on
  light and on dark pages. Everything is deterministic.
- Given ``ax``, a plot draws there; else it makes a figure. Inside ``with book_style():`` your own
  figures look alike.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tlcourse.data import Domain
from tlcourse.evaluation import Evaluation
from tlcourse.study import require_columns

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
_BASELINE: dict[str, Any] = {"color": "#444444", "marker": "*", "linestyle": ":"}
_STYLE: dict[Any, object] = {
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib: the same on every machine
    "font.size": 10,
    "text.color": "#222222",
    "xtick.color": "#222222",
    "ytick.color": "#222222",
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.title_fontsize": 9,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "image.interpolation": "nearest",
}


@contextmanager
def book_style() -> Iterator[None]:
    """Make the look of the book's figures a context: ``with book_style(): plt.subplots(...)``.

    Yields
    ------
    None
        All settings are restored at the end.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from tlcourse import figures
    >>> with figures.book_style():
    ...     figure, ax = plt.subplots()
    >>> ax.spines["top"].get_visible()
    False
    """
    with mpl.rc_context(_STYLE):
        yield
        interactive = mpl.is_interactive()  # a notebook's first figure switches it on, to stay
    mpl.interactive(interactive)


@book_style()
def plot_learning_curves(
    table: pd.DataFrame, *, baseline: str | None = None, ax: Axes | None = None
) -> Axes:
    """Plot test accuracy against the label budget, one curve for each strategy.

    Lines are means over the draws, bands one standard deviation to either side, points single
    draws.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `tlcourse.study.study`.
    baseline : str, optional
        Strategy to draw in dotted grey, such as training from scratch.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If columns are missing or ``baseline`` is not in the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse import figures
    >>> rows = [("tuned", 1, 0, 0.4), ("tuned", 5, 0, 0.8), ("scratch", 1, 0, 0.2)]
    >>> table = pd.DataFrame(rows, columns=["strategy", "budget", "seed", "accuracy"])
    >>> ax = figures.plot_learning_curves(table, baseline="scratch")
    >>> ax.get_ylabel()
    'test accuracy'
    """
    require_columns(table, "strategy", "budget", "seed", "accuracy")
    names = list(table["strategy"].unique())
    if baseline is not None and baseline not in names:
        raise ValueError(f"baseline is {baseline!r}; the table has {names}.")
    ax = _axes(ax, (7, 4.5))
    looks = _looks([name for name in names if name != baseline]) | {baseline: _BASELINE}
    for name in names:
        rows, look = table[table["strategy"] == name], looks[name]
        budgets = rows.groupby("budget")["accuracy"]
        mean, spread = budgets.mean(), budgets.std().fillna(0)
        ax.fill_between(
            mean.index, mean - spread, mean + spread, color=look["color"], alpha=0.15, linewidth=0
        )
        ax.scatter(
            rows["budget"], rows["accuracy"], s=9, color=look["color"], alpha=0.4, linewidth=0
        )
        ax.plot(mean.index, mean, **look, markersize=5, label=name)
    _budget_axis(ax, table["budget"].unique())
    ax.set_ylabel("test accuracy")
    ax.grid(axis="y")
    draws = table.groupby(["strategy", "budget"]).size()
    counts = "–".join(str(n) for n in sorted({draws.min(), draws.max()}))
    ax.legend(loc="lower right", title=f"mean ± standard deviation, {counts} draws")
    return ax


@book_style()
def plot_gain(gain: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot the paired gain over a baseline with its interval, against the label budget.

    Parameters
    ----------
    gain : pandas.DataFrame
        Result of `tlcourse.study.transfer_gain`, or several of them concatenated.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If columns are missing or the baselines differ.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse import figures
    >>> gain = pd.DataFrame(
    ...     {
    ...         "strategy": ["tuned", "tuned"],
    ...         "baseline": ["scratch", "scratch"],
    ...         "budget": [1, 5],
    ...         "gain": [0.20, 0.05],
    ...         "low": [0.12, -0.01],
    ...         "high": [0.28, 0.11],
    ...     }
    ... )
    >>> figures.plot_gain(gain).get_xlabel()
    'labels per class'
    """
    require_columns(gain, "strategy", "baseline", "budget", "gain", "low", "high")
    baselines = list(gain["baseline"].unique())
    if len(baselines) > 1:
        raise ValueError(f"gain has the baselines {baselines}; plot one baseline at a time.")
    ax = _axes(ax, (7, 4))
    ax.axhline(0, color="#444444", linewidth=1)
    names = list(gain["strategy"].unique())
    for place, (name, look) in enumerate(_looks(names).items()):
        rows = gain[gain["strategy"] == name].sort_values("budget")
        at = rows["budget"] * 1.06 ** (place - (len(names) - 1) / 2)  # side by side
        ax.vlines(at, rows["low"], rows["high"], color=look["color"], linewidth=2)
        ax.plot(at, rows["gain"], **_as_points(look), markersize=6, label=name)
    _budget_axis(ax, gain["budget"].unique())
    ax.set_ylabel(f"gain in test accuracy\nover {baselines[0]}")
    ax.grid(axis="y")
    ax.legend(loc="best")
    return ax


@book_style()
def plot_cost(
    table: pd.DataFrame, budget: int, *, baseline: str | None = None, ax: Axes | None = None
) -> Axes:
    """Plot test accuracy against training time at one label budget.

    Faint points are single draws; large ones means, with a bar of one standard deviation. The
    legend gives the trained parameters.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of `tlcourse.study.study`.
    budget : int
        Labels per class.
    baseline : str, optional
        Strategy to draw in grey, as in `plot_learning_curves`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If columns are missing or the table has no such budget.

    Examples
    --------
    >>> import pandas as pd
    >>> from tlcourse import figures
    >>> table = pd.DataFrame(
    ...     {
    ...         "strategy": ["tuned", "frozen"],
    ...         "budget": [5, 5],
    ...         "seed": [0, 0],
    ...         "accuracy": [0.9, 0.8],
    ...         "seconds": [4.0, 0.5],
    ...         "trained_parameters": [98_000, 650],
    ...     }
    ... )
    >>> figures.plot_cost(table, 5).get_title()
    '5 labels per class'
    """
    require_columns(table, "strategy", "budget", "accuracy", "seconds", "trained_parameters")
    rows = table[table["budget"] == budget]
    if rows.empty:
        known = sorted(table["budget"].unique().tolist())
        raise ValueError(f"budget is {budget!r}; the table has {known}.")
    ax = _axes(ax, (7, 4))
    names = list(rows["strategy"].unique())
    looks = _looks([name for name in names if name != baseline]) | {baseline: _BASELINE}
    for name in names:
        look = looks[name]
        draws = rows[rows["strategy"] == name]
        mean, spread = draws["accuracy"].mean(), np.nan_to_num(draws["accuracy"].std())
        parameters = f"{draws['trained_parameters'].mean():,.0f} trained parameters"
        seconds = draws["seconds"].mean()
        ax.scatter(
            draws["seconds"], draws["accuracy"], s=9, color=look["color"], alpha=0.4, linewidth=0
        )
        ax.vlines(seconds, mean - spread, mean + spread, color=look["color"], linewidth=1.5)
        ax.plot(
            [seconds],
            [mean],
            **_as_points(look),
            markersize=9,
            label=f"{name}: {parameters}",
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    ax.set_xlabel("training time in seconds")
    ax.set_ylabel("test accuracy")
    ax.set_title(f"{budget} {'label' if budget == 1 else 'labels'} per class")
    ax.grid()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return ax


@book_style()
def plot_images(
    domain: Domain,
    *,
    per_class: int = 3,
    columns: int = 10,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Show example images of a domain, one column for each class.

    Parameters
    ----------
    domain : Domain
        Images ``(n, h, w, c)``.
    per_class : int
        Images in a column; where a class has fewer, places stay white.
    columns : int
        At most so many classes are shown, spread evenly over all.
    seed : int
        Seed of the choice of images.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If ``domain`` is not a `Domain`.
    ValueError
        If it has no images, or a number is not positive.

    Examples
    --------
    >>> from tlcourse import data, figures
    >>> figures.plot_images(data.load("handwritten-digits")).get_title()
    'handwritten-digits'
    """
    if not isinstance(domain, Domain):
        raise TypeError(f"domain is a {type(domain).__name__}; give a tlcourse.data.Domain.")
    if not domain.is_image or not len(domain):
        raise ValueError(f"domain is {domain!r}; give at least one image (n, h, w, c).")
    if per_class < 1 or columns < 1:
        raise ValueError(f"per_class is {per_class}, columns is {columns}; both must be >= 1.")
    shown = np.linspace(0, domain.n_classes - 1, min(columns, domain.n_classes)).round().astype(int)
    mosaic, (height, width) = _mosaic(domain, shown, per_class, np.random.default_rng(seed))
    names = [domain.class_names[int(label)] for label in shown]
    ax = _axes(ax, (max(3, 0.7 * len(shown)), 0.9 + 0.7 * per_class * height / width))
    ax.imshow(mosaic, vmin=0, vmax=1)
    slanted = max(map(len, names)) > 6
    ax.set_xticks(
        np.arange(len(shown)) * width + (width - 3) / 2,
        names,
        rotation=40 if slanted else 0,
        ha="right" if slanted else "center",
    )
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(domain.name)
    return ax


@book_style()
def plot_confusion(evaluation: Evaluation, *, ax: Axes | None = None) -> Axes:
    """Show which classes are taken for which: counts, coloured by share of the true class.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `tlcourse.evaluation.evaluate_logits` or of a door's ``evaluate``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Counts are written for up to 12 classes.

    Raises
    ------
    TypeError
        If ``evaluation`` is not an `Evaluation`.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse import figures
    >>> from tlcourse.evaluation import evaluate_logits
    >>> logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    >>> evaluation = evaluate_logits(logits, np.array([0, 1, 1]), ["cat", "dog"])
    >>> figures.plot_confusion(evaluation).get_xlabel()
    'predicted class'
    """
    if not isinstance(evaluation, Evaluation):
        raise TypeError(f"evaluation is a {type(evaluation).__name__}; give an Evaluation.")
    counts, k = evaluation.confusion, len(evaluation.class_names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4, 0.24 * k + 2)
    ax = _axes(ax, (side + 0.8, side))
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    if k <= 12:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if share[row, column] > 0.5 else "#222222"
                ax.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)
    slanted = max(map(len, evaluation.class_names)) > 3
    ax.set_xticks(
        range(k),
        evaluation.class_names,
        rotation=40 if slanted else 0,
        ha="right" if slanted else "center",
    )
    ax.set_yticks(range(k), evaluation.class_names)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the given axes, or those of a new figure of this size in inches."""
    return plt.subplots(figsize=size)[1] if ax is None else ax


def _looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give each name a colour, a marker and a line style by its place."""
    looks = zip(cycle(_COLOURS), cycle(_MARKERS), cycle(_LINES), strict=False)
    return {
        name: {"color": colour, "marker": marker, "linestyle": line}
        for name, (colour, marker, line) in zip(names, islice(looks, len(names)), strict=True)
    }


def _as_points(look: dict[str, Any]) -> dict[str, Any]:
    """Return a look without its line."""
    return look | {"linestyle": "none"}


def _budget_axis(ax, budgets):
    """Make x logarithmic with ticks at the budgets."""
    budgets = sorted(int(budget) for budget in budgets)
    ax.set_xscale("log")
    ax.set_xlim(budgets[0] / 1.2, budgets[-1] * 1.2)
    ax.xaxis.set_major_locator(FixedLocator(budgets))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("labels per class")


def _mosaic(domain, shown, per_class, rng, gap=2):
    """Lay images out in a white RGB picture; return it and the size of a cell in pixels."""
    height, width = (side + gap for side in domain.inputs.shape[1:3])
    mosaic = np.ones((per_class * height, len(shown) * width, 3), dtype=np.float32)
    for column, label in enumerate(shown):
        rows = rng.permutation(np.flatnonzero(domain.labels == label))[:per_class]
        for row, image in enumerate(domain.inputs[rows]):
            top, left = row * height, column * width
            mosaic[top : top + height - gap, left : left + width - gap] = image
    return mosaic[:-gap, :-gap], (height, width)
