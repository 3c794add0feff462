"""Augmentation: each change against its closed form; the seed rules; all stays in [0, 1]."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms import v2

import tlcourse.torch as tl
from tlcourse import data
from tlcourse.torch import augmentation
from tlcourse.torch.devices import seeded

DIGITS = data.load("handwritten-digits", n=60)
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


def fitted(net, augment, seed):
    tl.fit(net, DIGITS, steps=3, augment=augment, seed=seed, device="cpu")


def adapted(method):
    def train(net, augment, seed):
        options = {"method": method, "steps": 3, "batch_size": 8, "device": "cpu"}
        tl.adapt(net, DIGITS, DIGITS.inputs, augment=augment, seed=seed, **options)

    return train


def adapted_source_free(net, augment, seed):
    options = {"agreement": 1.0, "steps": 3, "batch_size": 8, "device": "cpu"}
    with torch.no_grad():  # sure from the start, so that the agreement counts
        net.head.weight *= 50
    tl.adapt_source_free(net, DIGITS.inputs, augment=augment, seed=seed, **options)


def pretrained_clusters(net, augment, seed):
    options = {"clusters": 5, "rounds": 1, "epochs": 1, "device": "cpu"}
    tl.pretrain_clusters(net.backbone, DIGITS.inputs, augment=augment, seed=seed, **options)


def pretrained_autoencoder(net, augment, seed):
    options = {"steps": 3, "device": "cpu", "noise": 0.0}
    tl.pretrain_autoencoder(net.backbone, DIGITS.inputs, augment=augment, seed=seed, **options)


@pytest.mark.parametrize(
    "train",
    [
        fitted,
        *(adapted(method) for method in ("deep-coral", "dan", "dann", "mcc")),
        adapted_source_free,
        pretrained_clusters,
        pretrained_autoencoder,
    ],
    ids=["fit", "deep-coral", "dan", "dann", "mcc", "source-free", "clusters", "autoencoder"],
)
def test_every_training_takes_it_and_follows_the_seed(train):
    """None, the same twice, another seed, and a transform that leaves the pictures alone."""
    parameters = []
    for augment, seed in (
        (tl.strokes_augmentation(), 3),
        (tl.strokes_augmentation(), 3),
        (tl.strokes_augmentation(), 4),
        (lambda images: images, 3),
    ):
        net = tl.TransferModel(tl.backbone("small-cnn"), 10)
        train(net, augment, seed)
        parameters.append(torch.cat([p.detach().flatten() for p in net.backbone.parameters()]))
    assert torch.equal(parameters[0], parameters[1])
    assert not torch.equal(parameters[0], parameters[2])
    assert not torch.equal(parameters[0], parameters[3])


def test_adaptation_changes_the_pictures_of_both_domains():
    other = data.load("rendered-digits", n=40)
    seen, nets = [], []
    for augment in (lambda images: seen.append(images) or images, None):
        net = tl.TransferModel(tl.backbone("small-cnn"), 10)
        options = {"method": "dan", "steps": 5, "batch_size": 8, "device": "cpu"}
        tl.adapt(net, DIGITS, other.inputs, augment=augment, **options)
        nets.append(net)
    assert len(seen) == 5
    for images in seen:
        planes = images[:, 0].numpy()
        for part, domain in ((planes[:8], DIGITS), (planes[8:], other)):
            apart = np.abs(part[:, None] - domain.inputs[None, ..., 0]).max(axis=(2, 3))
            assert len(part) == 8 and (apart.min(axis=1) == 0).all()
    assert torch.equal(nets[0].head.weight, nets[1].head.weight)


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomAffine(15, translate=(0.1, 0.1), shear=10),
        v2.Compose([v2.RandomResizedCrop(32, scale=(0.8, 1)), v2.GaussianBlur(3)]),
    ],
    ids=["affine", "crop and blur"],
)
def test_transforms_of_torchvision_serve_as_they_are(transform):
    nets = []
    for _ in range(2):
        net = tl.TransferModel(tl.backbone("small-cnn"), 10)
        fitted(net, transform, seed=3)
        nets.append(net)
    assert torch.equal(nets[0].head.weight, nets[1].head.weight)


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="shear is -1; give a finite number >= 0"):
        tl.strokes_augmentation(shear=-1)
