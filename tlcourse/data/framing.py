"""Digits in the frame of MNIST: as tall as its digits, and centred as its digits are.

Design choices
--------------
- The rule is how MNIST was made, and reads no label: the ink's box, at most 20 pixels to a side,
  in a field of 28, moved so that the ink's centre of mass is the field's centre.
- A digit that fills its picture and one with a border become alike. What a net took for a domain
  gap is then seen for what it is: a frame.
"""

import numpy as np
from PIL import Image

from tlcourse.checks import check_integer

_INK = 0.1  # paler is paper: smoothing and noise leave a grey rim
_FIELD, _BOX = 28, 20


def frame_digits(images: np.ndarray, *, size: int = 32, box: float = _BOX) -> np.ndarray:
    """Bring grey digits into the frame in which MNIST's digits stand.

    Each picture is cut to its ink, scaled so that the longer side of the ink measures ``box``
    pixels of a field of 28 (its proportions stay), and moved by whole pixels so that its centre of
    mass lies in the middle. The field is then padded to ``size``, as `load_download` pads MNIST.

    Parameters
    ----------
    images : ndarray of float32, shape (n, h, w, 1)
        Ink 1 on paper 0. A picture without ink stays empty.
    size : int
        Height and width of the result, at least 28.
    box : float
        Longer side of the ink in pixels, above 0 and at most 28.

    Returns
    -------
    ndarray of float32, shape (n, size, size, 1)

    Raises
    ------
    ValueError
        If the shape, the size or the box is not as said.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document
    recognition, Proceedings of the IEEE 86(11), 1998, section III.A.

    Examples
    --------
    >>> from tlcourse import data
    >>> digits = data.load("handwritten-digits", n=50)
    >>> framed = digits.with_inputs(data.frame_digits(digits.inputs))
    >>> framed.inputs.shape
    (50, 32, 32, 1)
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] != 1:
        raise ValueError(f"images have shape {images.shape}; give grey pictures (n, h, w, 1).")
    check_integer("size", size, smallest=_FIELD)
    if not 0 < box <= _FIELD:
        raise ValueError(f"box is {box!r}; it must be above 0 and at most {_FIELD} pixels.")
    framed = np.zeros((len(images), size, size, 1), dtype=np.float32)
    for place, picture in enumerate(images[..., 0]):
        ink = np.argwhere(picture > _INK)
        if len(ink):
            _paste(_scaled(picture, ink, box), framed[place, :, :, 0])
    return framed


def _scaled(picture, ink, box):
    """Cut a picture to its ink and scale the longer side to `box` pixels."""
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0) + 1
    height, width = bottom - top, right - left
    factor = box / max(height, width)
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    plane = Image.fromarray(np.array(picture[top:bottom, left:right], np.float32))
    return np.asarray(plane.resize(shape, Image.Resampling.BICUBIC)).clip(0, 1)


def _paste(digit, field):
    """Put a digit into an empty field, its centre of mass in the middle, none of it cut off."""
    corner = []
    for axis in (0, 1):
        mass = digit.sum(axis=1 - axis)
        centre = (mass * (np.arange(len(mass)) + 0.5)).sum() / mass.sum()
        last = field.shape[axis] - digit.shape[axis]
        corner.append(int(np.clip(round(field.shape[axis] / 2 - centre), 0, last)))
    rows, columns = (slice(at, at + n) for at, n in zip(corner, digit.shape, strict=True))
    field[rows, columns] = digit
