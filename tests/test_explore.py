"""Interactive figures: all frames, in the right order, with labels, texts and live controls."""

import base64
import io
import json
import re
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from tlcourse.explore import explore, frames_html

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def paint(width, colour):
    figure = plt.figure(figsize=(width, 1))
    figure.patch.set_facecolor("white")
    figure.add_axes([0, 0, 1, 1]).set_facecolor(colour)
    figure.axes[0].tick_params(length=0)
    return figure


def content(page):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page).group(1))


def decode(picture):
    return Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")


def test_every_combination_is_drawn_in_the_order_the_script_counts():
    data = content(frames_html(paint, "a box", {"width": [1, 2, 3], "colour": ["red", "blue"]}))
    assert data["sizes"] == [3, 2]
    pictures = [decode(data["pictures"][frame]) for frame in data["frames"]]
    assert [picture.width for picture in pictures] == [100, 100, 200, 200, 300, 300]
    middles = [picture.getpixel((50, 50)) for picture in pictures]
    assert middles == [COLOURS["red"], COLOURS["blue"]] * 3
    assert data["texts"][3] == "a box; width 2, colour blue"
    assert not plt.get_fignums(), "figures are closed"


def test_numbers_get_a_labelled_slider_and_words_a_menu():
    page = frames_html(paint, "a box", {"width": [1, 2], "colour": ["red", "blue"]})
    assert re.search(r'<label>width <input type="range" min="0" max="1" value="0"', page)
    assert "<label>colour <select><option>red</option><option>blue</option></select>" in page
    assert 'alt="a box; width 1, colour red"' in page
    assert "http" not in page and " on" + "click" not in page


def test_equal_frames_are_stored_once_and_texts_may_depend_on_the_values():
    def same(step):
        return paint(1, "red")

    data = content(frames_html(same, lambda step: f"step {step} <b>", {"step": [1, 2, 3]}))
    assert len(data["pictures"]) == 1 and data["frames"] == [0, 0, 0]
    assert data["texts"] == ["step 1 <b>", "step 2 <b>", "step 3 <b>"]


def test_texts_cannot_break_out_of_the_page():
    page = frames_html(lambda x: paint(1, "red"), '</script><i>"', {"x": [1]})
    assert page.count("</script>") == 1 and "<i>" not in page.split("<script")[0]


def test_a_frame_is_small():
    def curves(seed):
        _, ax = plt.subplots(figsize=(6, 4))
        ax.plot(np.random.default_rng(seed).normal(size=(50, 4)).cumsum(axis=0))
        return ax

    data = content(frames_html(curves, "walks", {"seed": [0, 1]}))
    assert max(map(len, data["pictures"])) < 40_000


def test_a_live_figure_has_controls_and_draws_the_first_frame_only(monkeypatch):
    monkeypatch.delenv("TLCOURSE_EXPLORE", raising=False)
    shown, drawn = [], []
    monkeypatch.setattr("IPython.display.display", shown.append)

    def record(**values):
        drawn.append(values)
        return paint(**values)

    explore(record, alt="a box", width=[1, 2], colour=["red", "blue"])
    assert drawn == [{"width": 1, "colour": "red"}]
    slider, menu, _ = shown[0].children
    assert (slider.description, menu.description) == ("width", "colour")
    slider.value = 2
    assert drawn[-1] == {"width": 2, "colour": "red"}
    plt.close("all")


def test_a_site_gets_frames(monkeypatch):
    monkeypatch.setenv("TLCOURSE_EXPLORE", "frames")
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    explore(paint, alt="a box", width=[1, 2], colour=["red"])
    assert shown[0].data.startswith('<figure class="explore">')


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"draw": 3}, TypeError, "draw is a int"),
        ({"alt": " "}, TypeError, "describe the figure"),
        ({"width": []}, ValueError, "each with its values"),
        ({"width": range(1, 62)}, ValueError, "61 combinations; a page can carry 60"),
        ({"draw": lambda width: 3}, TypeError, "draw returned a int for width 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(monkeypatch, arguments, error, reason):
    monkeypatch.setenv("TLCOURSE_EXPLORE", "frames")
    arguments = {"draw": paint, "alt": "a box", "width": [1]} | arguments
    with pytest.raises(error, match=reason):
        explore(arguments.pop("draw"), **arguments)


def test_plain_python_without_ipython_shows_the_first_figure(monkeypatch):
    drawn = []

    def draw(rate, start):
        drawn.append((rate, start))
        return plt.figure()

    monkeypatch.setitem(sys.modules, "IPython.display", None)  # as where it is not installed
    explore(draw, alt="a figure", rate=[0.1, 0.5], start=["near", "far"])
    assert drawn == [(0.1, "near")]
