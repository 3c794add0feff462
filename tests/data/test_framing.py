"""The frame of MNIST: box and centre of mass by the rule, whatever frame a digit comes in."""

import numpy as np
import pytest
from PIL import Image

from tlcourse import data

DIGITS = data.load("handwritten-digits", n=200)


def boxes(images, ink=0.3):
    """Return the sides of each picture's ink."""
    found = [np.argwhere(picture > ink) for picture in images[..., 0]]
    return np.array([one.max(axis=0) - one.min(axis=0) + 1 for one in found])


def centres(images):
    """Return each picture's centre of mass, in pixels from its corner."""
    places = np.arange(images.shape[1]) + 0.5
    planes = images[..., 0]
    mass = planes.sum(axis=(1, 2))
    return np.stack([(planes.sum(axis=a) * places).sum(axis=1) / mass for a in (2, 1)], axis=1)


def test_the_longer_side_is_twenty_pixels_and_the_mass_is_in_the_middle():
    framed = data.frame_digits(DIGITS.inputs)
    assert framed.shape == (200, 32, 32, 1) and framed.dtype == np.float32
    assert framed.min() >= 0 and framed.max() <= 1
    assert abs(boxes(framed).max(axis=1).mean() - 20) < 0.5
    assert np.abs(centres(framed) - 16).max() <= 0.5 + 1e-6


def test_a_digit_with_a_border_and_one_without_become_alike():
    """What MNIST and USPS are to each other: half a pixel of box and of centre at most."""
    full = np.stack([cut_to_ink(one) for one in DIGITS.inputs])
    with_border = np.pad(full[:, 1::2, 1::2], ((0, 0), (3, 9), (9, 3), (0, 0)))
    a, b = data.frame_digits(full), data.frame_digits(with_border)
    assert abs(boxes(a).mean() - boxes(b).mean()) < 0.5
    assert np.abs(centres(a) - centres(b)).max() <= 1
    assert np.abs(a - b).mean() < 0.06 < np.abs(a - np.roll(b, 3, axis=1)).mean()


def cut_to_ink(picture):
    ink = np.argwhere(picture[..., 0] > 0.1)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0) + 1
    return data.resize_images(picture[None, top:bottom, left:right], 32)[0]


def resampled(picture, longer, field, offset):
    """Draw a digit's ink with its longer side so long into a field, its mass near the middle."""
    ink = np.argwhere(picture[..., 0] > 0.1)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0) + 1
    cut = Image.fromarray(np.ascontiguousarray(picture[top:bottom, left:right, 0]))
    factor = longer / max(cut.size)
    cut = cut.resize([max(1, round(side * factor)) for side in cut.size], Image.Resampling.BOX)
    digit, result = np.asarray(cut), np.zeros((field, field, 1), dtype=np.float32)
    corner = []
    for axis in (0, 1):
        mass = digit.sum(axis=1 - axis)
        centre = (mass * (np.arange(len(mass)) + 0.5)).sum() / mass.sum()
        most = field - digit.shape[axis]
        corner.append(int(np.clip(round(field / 2 + offset - centre), 0, most)))
    result[corner[0] :, corner[1] :, 0][: digit.shape[0], : digit.shape[1]] = digit
    return result


def test_pictures_made_as_those_of_mnist_and_usps_get_one_frame():
    """20 pixels in 28, half a pixel low and right, as MNIST's; 16 in 16, as USPS's."""
    high = data.load("rendered-digits", n=200, seed=1).inputs
    mnist = np.stack([resampled(one, 20, 28, 0.5) for one in high])
    usps = np.stack([resampled(one, 16, 16, 0.0) for one in high])
    framed = [data.frame_digits(images) for images in (mnist, usps)]
    raw = [np.pad(mnist, ((0, 0), (2, 2), (2, 2), (0, 0))), data.resize_images(usps, 32)]
    assert abs(boxes(raw[0]).max(axis=1).mean() - boxes(raw[1]).max(axis=1).mean()) > 8
    sides = [boxes(images, ink=0.1).mean(axis=0) for images in framed]
    assert np.abs(sides[0] - sides[1]).max() < 0.5
    for images in framed:
        assert np.abs(centres(images) - 16).max() <= 0.5 + 1e-5
        assert np.abs(centres(images).mean(axis=0) - 16).max() < 0.1


def test_what_has_the_frame_already_is_only_moved():
    one = np.zeros((1, 32, 32, 1), dtype=np.float32)
    one[0, 8:28, 9:20, 0] = np.random.default_rng(0).uniform(0.2, 1, (20, 11))
    framed = data.frame_digits(one)
    assert (np.roll(one, (-2, 2), axis=(1, 2)) == framed).all()


def test_proportions_stay():
    one = np.zeros((1, 40, 40, 1), dtype=np.float32)
    one[0, 5:35, 18:24] = 1  # 30 high, 6 wide: 20 high, 4 wide
    framed = data.frame_digits(one)
    assert boxes(framed).tolist() == [[20, 4]]
    assert framed[0, 6:26, 14:18, 0].mean() == pytest.approx(1) and framed.sum() == 80


def test_the_box_can_be_chosen_and_an_empty_picture_stays_empty():
    one = np.zeros((2, 16, 16, 1), dtype=np.float32)
    one[0, 4:12, 4:12] = 1
    framed = data.frame_digits(one, size=28, box=10)
    assert boxes(framed[:1]).tolist() == [[10, 10]] and framed[1].sum() == 0


@pytest.mark.parametrize(
    ("images", "options", "reason"),
    [
        (np.zeros((2, 8, 8, 3)), {}, "give grey pictures"),
        (np.zeros((8, 8)), {}, r"shape \(8, 8\)"),
        (DIGITS.inputs, {"size": 20}, "size is 20; it must be an integer >= 28"),
        (DIGITS.inputs, {"box": 0}, "box is 0; it must be above 0 and at most 28"),
        (DIGITS.inputs, {"box": 29}, "box is 29"),
    ],
)
def test_what_has_no_frame_is_refused(images, options, reason):
    with pytest.raises(ValueError, match=reason):
        data.frame_digits(images, **options)
