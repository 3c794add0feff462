"""Domains that need no network: real handwriting, rendered glyphs, signs on photographs, tables.

Design choices
--------------
- The targets are real: 1,797 digits that people wrote. Only the sources are rendered.
- Source and target of the sign domains lie over different photographs, and the source shows
  letters where the target shows digits. So nothing of the target is seen before transfer.
- All images of a kind have the size that the course's checkpoints expect.
"""

from typing import cast

import numpy as np
from PIL import Image
from sklearn import datasets
from sklearn.utils import Bunch

from tlcourse.data import rendering
from tlcourse.data.domain import Domain

_BSD = "BSD 3-Clause (distributed with scikit-learn)"
_DIGITS_ORIGIN = (
    "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), "
    "the 1,797 test digits distributed with scikit-learn; CC BY 4.0 at UCI"
)
_PHOTOS = "photographs china.jpg (V. Mohan) and flower.jpg (V. Lumenta) of scikit-learn, CC BY"


def handwritten_digits() -> Domain:
    """Load 1,797 real digits, 8x8 grey levels enlarged to ``(n, 32, 32, 1)``, ink 1 on paper 0.

    Returns
    -------
    Domain
    """
    masks, labels = _handwriting(32)
    return Domain(
        "handwritten-digits",
        masks[..., None],
        labels,
        tuple(rendering.DIGITS),
        _DIGITS_ORIGIN,
        "CC BY 4.0",
    )


def rendered_letters(n: int = 12_000, *, seed: int = 0) -> Domain:
    """Render capital and small letters, ``(n, 32, 32, 1)``, 26 classes.

    Parameters
    ----------
    n : int
        Number of images.
    seed : int
        Seed of fonts, shapes and order.

    Returns
    -------
    Domain
    """
    images, labels = rendering.render_glyphs(rendering.LETTERS, n, seed=seed)
    return Domain(
        "rendered-letters",
        images,
        labels,
        tuple(rendering.LETTERS),
        rendering.ORIGIN,
        rendering.LICENCE,
    )


def rendered_digits(n: int = 5_000, *, seed: int = 0) -> Domain:
    """Render digits, ``(n, 32, 32, 1)``, 10 classes.

    Parameters
    ----------
    n : int
        Number of images.
    seed : int
        Seed of fonts, shapes and order.

    Returns
    -------
    Domain
    """
    images, labels = rendering.render_glyphs(rendering.DIGITS, n, seed=seed)
    return Domain(
        "rendered-digits",
        images,
        labels,
        tuple(rendering.DIGITS),
        rendering.ORIGIN,
        rendering.LICENCE,
    )


def signs(*, seed: int = 0) -> Domain:
    """Paint the 1,797 handwritten digits in colour over crops of a photograph of a flower.

    Parameters
    ----------
    seed : int
        Seed of crops, colours and positions.

    Returns
    -------
    Domain
        Images ``(1797, 64, 64, 3)``, 10 classes.
    """
    masks, labels = _handwriting(44)
    images = _paint_over_photo(masks, "flower.jpg", np.random.default_rng(seed))
    return Domain(
        "signs",
        images,
        labels,
        tuple(rendering.DIGITS),
        f"{_DIGITS_ORIGIN}; over {_PHOTOS}",
        "CC BY 4.0; photograph CC BY 2.0",
    )


def rendered_signs(n: int = 8_000, *, seed: int = 0) -> Domain:
    """Paint rendered letters in colour over crops of a photograph of a palace.

    Parameters
    ----------
    n : int
        Number of images.
    seed : int
        Seed of fonts, shapes, crops, colours and order.

    Returns
    -------
    Domain
        Images ``(n, 64, 64, 3)``, 26 classes.
    """
    masks, labels = rendering.render_glyphs(rendering.LETTERS, n, size=44, seed=seed)
    images = _paint_over_photo(masks[..., 0], "china.jpg", np.random.default_rng([seed, 1]))
    return Domain(
        "rendered-signs",
        images,
        labels,
        tuple(rendering.LETTERS),
        f"{rendering.ORIGIN}; over {_PHOTOS}",
        f"{rendering.LICENCE}; photograph CC BY 2.0",
    )


def iris() -> Domain:
    """Load Fisher's Iris: 150 flowers, 4 lengths in cm, 3 species, sorted by species.

    Returns
    -------
    Domain
    """
    return _table("iris", datasets.load_iris(), "Fisher (1936), Iris; with scikit-learn")


def wine() -> Domain:
    """Load Wine: 178 wines, 13 chemical measurements, 3 cultivars, sorted by cultivar.

    Returns
    -------
    Domain
    """
    return _table("wine", datasets.load_wine(), "Aeberhard and Forina, Wine (UCI, 1991)")


def breast_cancer() -> Domain:
    """Load Breast Cancer Wisconsin: 569 cell samples, 30 measurements, malignant or benign.

    Returns
    -------
    Domain
    """
    origin = "Wolberg, Mangasarian, Street and Street, Breast Cancer Wisconsin (UCI, 1995)"
    return _table("breast-cancer", datasets.load_breast_cancer(), origin)


def _table(name, bunch, origin):
    """Make a tabular domain of one of scikit-learn's bundled sets."""
    return Domain(
        name, bunch.data.astype(np.float32), bunch.target, tuple(bunch.target_names), origin, _BSD
    )


def _handwriting(size):
    """Enlarge scikit-learn's digits; return masks ``(n, size, size)`` in [0, 1] and labels."""
    digits = cast(Bunch, datasets.load_digits())
    masks = np.empty((len(digits.images), size, size), dtype=np.float32)
    for row, grid in enumerate(digits.images):
        picture = Image.fromarray(np.rint(grid * (255 / 16)).astype(np.uint8))
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
        masks[row] = np.asarray(picture, dtype=np.float32) / 255
    return masks, digits.target


def _paint_over_photo(masks, photo_name, rng, size=64):
    """Blend each mask in a contrasting colour over a random crop; ``(n, size, size, 3)``."""
    photo = Image.fromarray(datasets.load_sample_image(photo_name))
    n, glyph_size = masks.shape[:2]
    sides = rng.integers(64, 192, size=n)
    corners = rng.random((n, 2)) * (np.array(photo.size) - sides[:, None])
    spots = rng.integers(0, size - glyph_size + 1, size=(n, 2))
    colours = rng.random((n, 3))
    images = np.empty((n, size, size, 3), dtype=np.float32)
    for row in range(n):
        x, y = corners[row]
        box = (x, y, x + sides[row], y + sides[row])
        crop = photo.resize((size, size), Image.Resampling.BILINEAR, box=box)
        image = np.asarray(crop, dtype=np.float32) / 255
        left, top = spots[row]
        window = image[top : top + glyph_size, left : left + glyph_size]
        ink = _contrasting(colours[row], window.mean())
        opacity = masks[row][:, :, None]
        window[:] = (1 - opacity) * window + opacity * ink
        images[row] = image
    return images


def _contrasting(colour, background):
    """Shift a random colour to the far side of the background's mean brightness."""
    tint = 0.5 * (colour - colour.mean())
    level = background + 0.45 if background < 0.5 else background - 0.45
    return np.clip(level + tint, 0, 1).astype(np.float32)
