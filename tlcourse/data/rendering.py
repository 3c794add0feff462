"""Source domains made from type: the glyphs of Matplotlib's own fonts, bent, thickened and blurred.

Design choices
--------------
- Every font comes with Matplotlib, so every reader renders the same pictures without a network.
- All random numbers are drawn first, in whole arrays, from one generator; drawing uses none.
  So a picture depends on the seed and its row alone.
- A glyph is drawn once per font and stroke, large; each example is one affine warp of it.
"""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSansMono-Oblique.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "STIXGeneralItalic.ttf",
    "cmb10.ttf",
    "cmr10.ttf",
    "cmss10.ttf",
    "cmti10.ttf",
    "cmtt10.ttf",
)
ORIGIN = "rendered by tlcourse from the fonts that Matplotlib ships (DejaVu, STIX, Computer Modern)"
LICENCE = "free to use; the fonts are under the Bitstream Vera, STIX and BaKoMa licences"

_CANVAS = 64  # pixels a side of the large drawing that is warped into each example
_GLYPH = 44  # pixels that the longer side of a glyph fills on that canvas


def render_glyphs(
    characters: str, n: int, *, size: int = 32, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Render characters in random fonts, strokes, positions and blurs.

    Parameters
    ----------
    characters : str
        One class per character; every class gets the same number of examples, give or take one.
    n : int
        Number of images.
    size : int
        Height and width in pixels.
    seed : int
        Seed of all random choices.

    Returns
    -------
    images : ndarray of float32, shape (n, size, size, 1)
        Ink is 1 and paper 0.
    labels : ndarray of int64, shape (n,)
        Index into ``characters``, in random order.

    Raises
    ------
    ValueError
        If ``n`` is smaller than the number of characters.
    """
    if not isinstance(n, int | np.integer) or n < len(characters):
        raise ValueError(
            f"n is {n!r}; it must be an integer >= {len(characters)}, one image for each of "
            f"{characters!r}."
        )
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % len(characters)).astype(np.int64)
    small = rng.random(n) < 0.5
    fonts = rng.integers(len(FONTS), size=n)
    strokes = rng.integers(0, 4, size=n)
    matrices = _random_affines(rng, n, size)
    blurs = rng.uniform(0.3, 1.1, size=n) * size / 32
    images = np.empty((n, size, size, 1), dtype=np.float32)
    for row in range(n):
        character = characters[labels[row]]
        character = character.lower() if small[row] else character
        glyph = _glyph(character, int(fonts[row]), int(strokes[row]))
        warped = glyph.transform(
            (size, size),
            Image.Transform.AFFINE,
            tuple(matrices[row]),
            resample=Image.Resampling.BILINEAR,
        )
        blurred = warped.filter(ImageFilter.GaussianBlur(float(blurs[row])))
        images[row, :, :, 0] = np.asarray(blurred, dtype=np.float32) / 255
    return images, labels


def _random_affines(rng, n, size):
    """Draw inverse affine maps (output pixel -> canvas pixel), shape (n, 6), for Pillow."""
    angle = np.deg2rad(rng.uniform(-15, 15, n))
    shear = rng.uniform(-0.3, 0.3, n)
    scale_x = rng.uniform(0.55, 1.0, n)
    scale_y = rng.uniform(0.75, 1.05, n)
    shift = rng.uniform(-0.06, 0.06, (n, 2)) * size
    zoom = size / (_GLYPH + 8)  # canvas pixels to output pixels for a glyph that fills the image
    cos, sin = np.cos(angle), np.sin(angle)
    forward = np.empty((n, 2, 2))
    forward[:, 0, 0] = zoom * scale_x * cos
    forward[:, 0, 1] = zoom * scale_y * (shear * cos - sin)
    forward[:, 1, 0] = zoom * scale_x * sin
    forward[:, 1, 1] = zoom * scale_y * (shear * sin + cos)
    inverse = np.linalg.inv(forward)
    centre = size / 2 + shift  # (n, 2): where the canvas centre lands
    offset = _CANVAS / 2 - np.einsum("nij,nj->ni", inverse, centre)
    return np.concatenate([inverse[:, 0], offset[:, :1], inverse[:, 1], offset[:, 1:]], axis=1)


@cache
def _font(index, points):
    """Load one of Matplotlib's fonts at a size in pixels."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / FONTS[index]
    return ImageFont.truetype(path, points, layout_engine=ImageFont.Layout.BASIC)


@cache
def _glyph(character, font_index, stroke):
    """Draw one character, centred and scaled to the canvas, as an 8-bit picture."""
    font = _font(font_index, 96)
    left, top, right, bottom = font.getbbox(character, stroke_width=2 * stroke)
    drawing = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(drawing).text((-left, -top), character, 255, font=font, stroke_width=2 * stroke)
    ratio = _GLYPH / max(drawing.size)
    width, height = (max(1, round(side * ratio)) for side in drawing.size)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    glyph = drawing.resize((width, height), Image.Resampling.BILINEAR)
    canvas.paste(glyph, ((_CANVAS - width) // 2, (_CANVAS - height) // 2))
    return canvas
