"""Figures with sliders: live in a notebook, precomputed on the built site.

Design choices
--------------
- The author writes one function that draws, and lists the values of its parameters. Both worlds
  are made from that, so they cannot disagree.
- In a notebook, ipywidgets call the function. When the site is built (``TLCOURSE_EXPLORE=frames``)
  every combination is drawn once, and the page shows the frames with plain HTML controls: no
  kernel, no network, no widget library.
- Without JavaScript the first frame shows. Every control has a label and works by keyboard; every
  frame has its own alternative text.
- Frames are PNG with a small palette: some ten kilobytes each.
"""

import base64
import html
import io
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any

from matplotlib import pyplot as plt
from PIL import Image

_MOST_FRAMES = 60
_COLOURS = 64


def explore(
    draw: Callable[..., Any], /, *, alt: str | Callable[..., str], **grid: Sequence
) -> None:
    """Show a figure that the reader can change; in plain Python, without IPython, its first state.

    Parameters
    ----------
    draw : callable
        Called with one value for each parameter of the grid, by keyword; returns a Matplotlib
        Figure or Axes. It should only draw: compute in a cell before.
    alt : str or callable
        Alternative text of the figure; or a function of the same values that returns it.
    **grid : sequence
        Values of each parameter. Numbers get a slider, anything else a menu.

    Raises
    ------
    TypeError
        If ``draw`` cannot be called or returns no figure, or ``alt`` is neither text nor callable.
    ValueError
        If the grid is empty, or has more than 60 combinations.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from tlcourse.explore import explore
    >>> def draw(rate, start):
    ...     figure, ax = plt.subplots()
    ...     ax.plot([{"near": 1, "far": 9}[start] * (1 - rate) ** step for step in range(20)])
    ...     return figure
    >>> import os
    >>> os.environ["TLCOURSE_EXPLORE"] = "frames"  # as the site is built; a notebook has widgets
    >>> explore(draw, alt="distance by step", rate=[0.1, 0.5], start=["near", "far"])
    <IPython.core.display.HTML object>
    >>> del os.environ["TLCOURSE_EXPLORE"]
    """
    values = {name: list(choices) for name, choices in grid.items()}
    _check(draw, alt, values)
    try:
        from IPython.display import HTML, display
    except ImportError:
        _figure(draw, {name: choices[0] for name, choices in values.items()})
        plt.show()
        return
    if os.environ.get("TLCOURSE_EXPLORE") == "frames":
        display(HTML(frames_html(draw, alt, values)))
    else:
        display(_live(draw, values))


def frames_html(
    draw: Callable[..., Any], alt: str | Callable[..., str], grid: Mapping[str, Sequence]
) -> str:
    """Draw every combination and write the figure as HTML.

    Parameters
    ----------
    draw, alt
        As for `explore`.
    grid : dict of str to list
        Values of each parameter.

    Returns
    -------
    str
        A ``<figure>``; the page's ``explore.js`` brings it to life.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from tlcourse.explore import frames_html
    >>> def draw(slope):
    ...     figure, ax = plt.subplots(figsize=(2, 2))
    ...     ax.plot([0, slope])
    ...     return figure
    >>> page = frames_html(draw, "a line", {"slope": [1, 2]})
    >>> page.startswith('<figure class="explore">')
    True
    """
    frames, texts = [], []
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        frames.append(_png(_figure(draw, values)))
        texts.append(alt(**values) if callable(alt) else f"{alt}; {_describe(values)}")
    pictures = sorted(set(frames), key=frames.index)  # equal frames are stored once
    content = {
        "sizes": [len(values) for values in grid.values()],
        "pictures": pictures,
        "frames": [pictures.index(frame) for frame in frames],
        "texts": texts,
    }
    controls = "".join(_control(name, values) for name, values in grid.items())
    # "</" would end the script element early
    data = json.dumps(content, ensure_ascii=False).replace("</", "<\\/")
    return (
        f'<figure class="explore"><div class="explore-controls">{controls}</div>'
        f'<img src="data:image/png;base64,{frames[0]}" alt="{html.escape(texts[0])}">'
        f'<script type="application/json">{data}</script></figure>'
    )


def _live(draw, grid):
    """Make ipywidgets that call the function."""
    import ipywidgets

    controls = {}
    for name, values in grid.items():
        kind = ipywidgets.SelectionSlider if _is_numeric(values) else ipywidgets.Dropdown
        controls[name] = kind(
            options=values,
            description=name.replace("_", " "),
            style={"description_width": "initial"},
        )

    def show(**values):
        _figure(draw, values)
        plt.show()

    output = ipywidgets.interactive_output(show, controls)
    return ipywidgets.VBox([*controls.values(), output])


def _figure(draw, values):
    """Call the drawing function and return its figure."""
    drawn = draw(**values)
    figure = getattr(drawn, "figure", None) or drawn
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"draw returned a {type(drawn).__name__} for {_describe(values)}; return the Figure or "
            "Axes."
        )
    return figure


def _png(figure):
    """Encode a figure with few colours, as base64, and close it."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=100, facecolor="white")
    plt.close(figure)
    picture = Image.open(raw).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _control(name, values):
    """Write a slider or a menu with its label."""
    label, shown = html.escape(name.replace("_", " ")), [html.escape(f"{v}") for v in values]
    if _is_numeric(values):
        data = html.escape(json.dumps([f"{value}" for value in values]))
        return (
            f'<label>{label} <input type="range" min="0" max="{len(values) - 1}" value="0" '
            f'data-values="{data}" aria-valuetext="{shown[0]}"> <output>{shown[0]}</output></label>'
        )
    options = "".join(f"<option>{value}</option>" for value in shown)
    return f"<label>{label} <select>{options}</select></label>"


def _is_numeric(values):
    """Say whether a slider suits these values."""
    return all(isinstance(v, Number) and not isinstance(v, bool) for v in values)


def _describe(values):
    """Write values for a reader."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _check(draw, alt, grid):
    """Refuse what cannot be shown."""
    if not callable(draw):
        raise TypeError(f"draw is a {type(draw).__name__}; give a function that draws.")
    if not callable(alt) and not (isinstance(alt, str) and alt.strip()):
        raise TypeError(f"alt is {alt!r}; describe the figure in words, or give a function.")
    if not grid or not all(grid.values()):
        raise ValueError(f"grid is {grid!r}; give at least one parameter, each with its values.")
    n_frames = 1
    for values in grid.values():
        n_frames *= len(values)
    if n_frames > _MOST_FRAMES:
        raise ValueError(
            f"grid has {n_frames} combinations; a page can carry {_MOST_FRAMES}: give fewer values."
        )
