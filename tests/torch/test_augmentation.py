"""Augmentation: each change against its closed form; the seed rules; all stays in [0, 1]."""

import numpy as np
import pytest
import torch
from scipy import ndimage

import tlcourse.torch as tl
from tlcourse import data
from tlcourse.torch import augmentation
from tlcourse.torch.devices import seeded

STILL = {"rotation": 0, "shear": 0, "scale": 0, "aspect": 0, "shift": 0, "pen": False}


def picture(n=1, size=33):
    """A bright block away from the middle."""
    images = torch.zeros(n, 1, size, size)
    images[:, :, 8:12, 14:22] = 1
    return images


def centre(images):
    """Return the centre of mass of each picture, rows first, from the middle."""
    places = torch.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    mass = images.sum(dim=(1, 2, 3))
    down = (images.sum(dim=(1, 3)) * places).sum(1) / mass
    return torch.stack([down, (images.sum(dim=(1, 2)) * places).sum(1) / mass], 1)


def changed(monkeypatch, images, **limits):
    """Augment with every random number at its upper end."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.ones(*shape))
    return tl.strokes_augmentation(**(STILL | limits))(images)


def test_no_change_is_the_identity():
    torch.testing.assert_close(tl.strokes_augmentation(**STILL)(picture()), picture())


def test_a_shift_is_in_pixels(monkeypatch):
    moved = changed(monkeypatch, picture(), shift=2.0)
    torch.testing.assert_close(
        moved[..., 4:-4, 4:-4], picture().roll((-2, -2), (2, 3))[..., 4:-4, 4:-4]
    )


def test_a_rotation_is_scipys(monkeypatch):
    turned = changed(monkeypatch, picture(), rotation=30.0)[0, 0].numpy()
    expected = ndimage.rotate(picture()[0, 0].numpy(), 30, reshape=False, order=1)
    other_way = ndimage.rotate(picture()[0, 0].numpy(), -30, reshape=False, order=1)
    errors = [np.abs(turned - one).mean() for one in (expected, other_way)]
    assert min(errors) < 1e-3 < max(errors)


def test_a_scale_is_the_exponential(monkeypatch):
    larger = changed(monkeypatch, picture(), scale=np.log(1.5))
    assert larger.sum() / picture().sum() == pytest.approx(1.5**2, rel=0.05)
    torch.testing.assert_close(centre(larger), 1.5 * centre(picture()), atol=0.2, rtol=0)


def test_aspect_keeps_the_area(monkeypatch):
    longer = changed(monkeypatch, picture(), aspect=0.4)
    assert longer.sum() / picture().sum() == pytest.approx(1, rel=0.05)
    sides = [(longer[0, 0].amax(axis) > 0.5).sum().item() for axis in (0, 1)]
    assert sides[0] > 8 and sides[1] <= 4  # width and height, of 8 and 4


def test_a_shear_moves_rows_sideways(monkeypatch):
    slanted = changed(monkeypatch, picture(), shear=0.5)
    before, after = centre(picture())[0], centre(slanted)[0]
    assert after[0] == pytest.approx(before[0].item(), abs=0.1)
    assert after[1] - before[1] == pytest.approx(-0.5 * before[0].item(), abs=0.2)


def test_each_picture_gets_its_own_change_and_the_seed_decides_it():
    images = picture(4)
    with seeded(0):
        one = tl.strokes_augmentation()(images)
    with seeded(0):
        assert torch.equal(one, tl.strokes_augmentation()(images))
    with seeded(1):
        assert not torch.equal(one, tl.strokes_augmentation()(images))
    assert not torch.equal(one[0], one[1]) and torch.equal(images, picture(4))


@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_range_stay(channels):
    images = torch.rand(64, channels, 20, 24)
    changed = tl.strokes_augmentation()(images)
    assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1


def test_pens_are_thicker_thinner_and_blurred():
    images = picture(600)
    with seeded(0):
        ink = augmentation._redrawn(images).sum(dim=(1, 2, 3)) / picture().sum()
    assert (ink > 1.5).float().mean().item() == pytest.approx(1 / 6, abs=0.06)
    assert (ink < 0.5).float().mean().item() == pytest.approx(1 / 6, abs=0.06)
    assert 0.2 < (ink - 1).abs().lt(0.02).float().mean() < 0.7


def test_fit_takes_it_and_follows_the_seed():
    digits = data.load("handwritten-digits", n=60)
    heads = []
    for _ in range(2):
        model = tl.TransferModel(tl.backbone("small-cnn"), 10)
        tl.fit(model, digits, steps=3, augment=tl.strokes_augmentation(), seed=3, device="cpu")
        heads.append(model.head.weight.detach().clone())
    assert torch.equal(*heads)


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="shear is -1; give a finite number >= 0"):
        tl.strokes_augmentation(shear=-1)
