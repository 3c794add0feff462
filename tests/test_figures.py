"""Plots show the numbers they are given, and say the same without colour."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from tlcourse import figures
from tlcourse.data import load
from tlcourse.evaluation import evaluate_logits
from tlcourse.study import transfer_gain

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    [
        (
            strategy,
            budget,
            seed,
            RNG.uniform(0.3, 0.9),
            RNG.uniform(0.1, 2),
            100 * (1 + len(strategy)),
        )
        for strategy in ("from scratch", "tuned", "frozen")
        for budget in (1, 5, 20)
        for seed in range(4)
    ],
    columns=["strategy", "budget", "seed", "accuracy", "seconds", "trained_parameters"],
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def line(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


def test_learning_curves_are_means_over_draws_with_one_standard_deviation():
    ax = figures.plot_learning_curves(TABLE, baseline="from scratch")
    for name, rows in TABLE.groupby("strategy"):
        means = rows.groupby("budget")["accuracy"].mean()
        np.testing.assert_allclose(line(ax, name).get_xydata(), means.reset_index().to_numpy())
    bands = [
        area
        for area in ax.collections
        if len(area.get_paths()[0].vertices) > 4 and area.get_alpha() == 0.15
    ]
    tuned = TABLE[(TABLE["strategy"] == "tuned") & (TABLE["budget"] == 1)]["accuracy"]
    heights = bands[1].get_paths()[0].vertices
    at_one = heights[np.isclose(heights[:, 0], 1), 1]
    assert at_one.max() == pytest.approx(tuned.mean() + tuned.std())
    assert at_one.min() == pytest.approx(tuned.mean() - tuned.std())
    assert "4 draws" in ax.get_legend().get_title().get_text()


def test_ticks_stand_at_the_budgets():
    ax = figures.plot_learning_curves(TABLE)
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "5", "20"]
    assert ax.get_xlabel() == "labels per class"


def test_lines_differ_without_colour_and_the_baseline_is_grey():
    ax = figures.plot_learning_curves(TABLE, baseline="from scratch")
    looks = {(item.get_marker(), str(item.get_linestyle())) for item in ax.lines}
    assert len(looks) == 3
    red, green, blue = to_rgb(line(ax, "from scratch").get_color())
    assert red == green == blue


def test_colours_are_the_same_in_all_plots_of_a_study():
    curves = figures.plot_learning_curves(TABLE, baseline="from scratch")
    cost = figures.plot_cost(TABLE, 5, baseline="from scratch")
    gains = pd.concat(transfer_gain(TABLE, name, "from scratch") for name in ("tuned", "frozen"))
    gain = figures.plot_gain(gains)
    for name in ("tuned", "frozen"):
        colour = line(curves, name).get_color()
        assert line(gain, name).get_color() == colour
        assert (
            next(item for item in cost.lines if item.get_label().startswith(name)).get_color()
            == colour
        )


def test_gains_and_their_intervals_are_drawn():
    gain = transfer_gain(TABLE, "tuned", "from scratch")
    ax = figures.plot_gain(gain)
    np.testing.assert_allclose(line(ax, "tuned").get_ydata(), gain["gain"])
    segments = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 1], gain[["low", "high"]].to_numpy())
    assert "from scratch" in ax.get_ylabel()


def test_cost_shows_mean_seconds_and_parameters():
    ax = figures.plot_cost(TABLE, 5)
    rows = TABLE[(TABLE["strategy"] == "tuned") & (TABLE["budget"] == 5)]
    label = "tuned: 600 trained parameters"
    np.testing.assert_allclose(
        line(ax, label).get_xydata(), [[rows["seconds"].mean(), rows["accuracy"].mean()]]
    )


def test_cost_has_a_bar_of_one_standard_deviation_and_a_marker_for_each_strategy():
    ax = figures.plot_cost(TABLE, 5, baseline="from scratch")
    bars = [bar.get_segments()[0] for bar in ax.collections if hasattr(bar, "get_segments")]
    for (low, high), name in zip(bars, TABLE["strategy"].unique(), strict=True):
        draws = TABLE[(TABLE["strategy"] == name) & (TABLE["budget"] == 5)]["accuracy"]
        spread = draws.std()  # with n - 1 below the line, as everywhere
        assert (low[1], high[1]) == pytest.approx((draws.mean() - spread, draws.mean() + spread))
    assert len({item.get_marker() for item in ax.lines}) == 3  # told apart without colour


def test_images_stand_in_a_column_for_each_class():
    digits = load("handwritten-digits")
    ax = figures.plot_images(digits, per_class=2)
    mosaic = ax.images[0].get_array()
    assert mosaic.shape == (2 * 34 - 2, 10 * 34 - 2, 3)
    assert [text.get_text() for text in ax.get_xticklabels()] == list("0123456789")
    sevens = {image.tobytes() for image in digits.inputs[digits.labels == 7]}
    shown = np.ascontiguousarray(mosaic[:32, 7 * 34 : 7 * 34 + 32, :1], dtype=np.float32)
    assert shown.tobytes() in sevens


def test_confusion_counts_are_written_in_their_cells():
    logits = np.eye(3)[[0, 0, 1, 2, 2]]
    result = evaluate_logits(logits, np.array([0, 1, 1, 2, 0]), ["a", "b", "c"])
    ax = figures.plot_confusion(result)
    written = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "1", (2, 0): "1", (0, 1): "1", (1, 1): "1", (2, 2): "1"}
    np.testing.assert_allclose(
        ax.images[0].get_array(), [[0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0, 1]]
    )  # rows sum to 1


def test_many_classes_are_coloured_but_not_written():
    result = evaluate_logits(np.eye(13), np.arange(13), [str(label) for label in range(13)])
    assert not figures.plot_confusion(result).texts


def drawn_tick_boxes(axis):
    """Return where level tick labels stand; Matplotlib also keeps some outside the view."""
    low, high = sorted(axis.get_view_interval())
    for place, text in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True):
        if low <= place <= high and text.get_text() and not text.get_rotation():
            yield text.get_window_extent()


@pytest.mark.parametrize("names", [list("abcdefghij"), [f"long name {n}" for n in range(10)]])
def test_text_is_large_inside_the_figure_and_does_not_overlap(names):
    result = evaluate_logits(np.eye(10), np.arange(10), names)
    drawn = [
        figures.plot_learning_curves(TABLE),
        figures.plot_cost(TABLE, 5),
        figures.plot_confusion(result),
    ]
    for ax in drawn:
        ax.figure.canvas.draw()
        texts = [text for text in ax.figure.findobj(Text) if text.get_text().strip()]
        assert texts and min(text.get_fontsize() for text in texts) >= 9
        edges = ax.figure.bbox.padded(1)
        boxes = [box for axis in (ax.xaxis, ax.yaxis) for box in drawn_tick_boxes(axis)]
        assert all(edges.contains(*corner) for box in boxes for corner in (box.min, box.max))
        assert all(one.count_overlaps(boxes) == 1 for one in boxes)


def test_settings_are_restored_and_the_background_is_opaque_white():
    before = mpl.rcParams.copy()
    ax = figures.plot_learning_curves(TABLE)
    assert mpl.rcParams == before
    assert ax.figure.get_facecolor() == ax.get_facecolor() == (1, 1, 1, 1)


def test_a_backend_that_turns_interactive_in_a_figure_stays_so():
    """As Jupyter's does; if it were restored, a notebook would show its first figure only."""
    mpl.interactive(False)
    with figures.book_style():
        mpl.interactive(True)
    assert mpl.is_interactive()
    mpl.interactive(False)


def test_a_plot_draws_into_given_axes():
    _, ax = plt.subplots()
    assert figures.plot_gain(transfer_gain(TABLE, "tuned", "frozen"), ax=ax) is ax


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: figures.plot_learning_curves(TABLE, baseline="x"), ValueError, "baseline is 'x'"),
        (lambda: figures.plot_cost(TABLE, 3), ValueError, r"budget is 3; the table has \[1, 5"),
        (
            lambda: figures.plot_gain(
                pd.concat(
                    [
                        transfer_gain(TABLE, "tuned", "frozen"),
                        transfer_gain(TABLE, "tuned", "from scratch"),
                    ]
                )
            ),
            ValueError,
            "plot one baseline at a time",
        ),
        (lambda: figures.plot_images(load("iris")), ValueError, "at least one image"),
        (lambda: figures.plot_images(3), TypeError, "domain is a int"),
        (lambda: figures.plot_confusion(3), TypeError, "evaluation is a int"),
        (lambda: figures.plot_learning_curves(TABLE[["strategy"]]), ValueError, "lacks"),
    ],
)
def test_what_cannot_be_plotted_is_refused(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
