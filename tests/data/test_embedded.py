"""The embedded domains hold what they say."""

import numpy as np
import pytest
from sklearn import datasets

from tlcourse.data import embedded, load


def test_handwritten_digits_are_scikit_learns_enlarged():
    domain = load("handwritten-digits")
    original = datasets.load_digits()
    assert domain.inputs.shape == (1797, 32, 32, 1) and domain.n_classes == 10
    np.testing.assert_array_equal(domain.labels, original.target)
    shrunk = domain.inputs.reshape(1797, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.corrcoef(shrunk.ravel(), original.data.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("name", "n", "d", "classes"),
    [("iris", 150, 4, 3), ("wine", 178, 13, 3), ("breast-cancer", 569, 30, 2)],
)
def test_tables_have_their_known_sizes(name, n, d, classes):
    domain = load(name)
    assert domain.inputs.shape == (n, d) and domain.n_classes == classes and not domain.is_image


@pytest.mark.parametrize("name", ["signs", "rendered-signs"])
def test_signs_are_colour_pictures_with_legible_contrast(name):
    domain = load(name, n=200)
    assert domain.inputs.shape == (200, 64, 64, 3)
    assert domain.inputs.min() >= 0 and domain.inputs.max() <= 1
    assert domain.inputs.std(axis=(1, 2)).mean() > 0.1
    channels = domain.inputs.mean(axis=(1, 2))
    assert np.abs(channels[:, 0] - channels[:, 2]).mean() > 0.02  # colour, not grey


def test_signs_need_more_than_a_threshold():
    """Ink is not always brighter than the photograph, so counting bright pixels is no use."""
    domain = load("signs")
    middle = domain.inputs[:, 24:40, 24:40].mean(axis=(1, 2, 3))
    edge = domain.inputs[:, :6].mean(axis=(1, 2, 3))
    brighter = (middle > edge).mean()
    assert 0.05 < brighter < 0.95


def test_sources_show_letters_and_targets_digits():
    for source, target in (("rendered-letters", "handwritten-digits"), ("rendered-signs", "signs")):
        assert not set(load(source, n=52).class_names) & set(load(target).class_names)


def test_ink_is_coloured_and_stands_out_from_what_it_covers():
    inked, plain = (
        embedded._paint_over_photo(masks, "flower.jpg", np.random.default_rng(0), size=44)
        for masks in (np.ones((200, 44, 44)), np.zeros((200, 44, 44)))
    )
    ink = inked[:, 0, 0]
    assert np.abs(inked - ink[:, None, None]).max() < 1e-6  # a full mask is one plain colour
    assert np.abs(ink.mean(axis=1) - plain.mean(axis=(1, 2, 3))).min() > 0.25
    assert np.ptp(ink, axis=1).mean() > 0.15  # not grey


def test_the_seed_decides_the_signs_and_the_photographs_differ():
    one, same, other = (embedded.signs(seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    assert not np.array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.labels, other.labels)
    flower, china = (
        datasets.load_sample_image(f"{photo}.jpg").mean(axis=(0, 1)) / 255
        for photo in ("flower", "china")
    )
    letters = load("rendered-signs", n=500)
    for domain, under, elsewhere in [(one, flower, china), (letters, china, flower)]:
        rim = domain.inputs[:, :4].mean(axis=(0, 1, 2))  # hardly any ink up there
        assert np.abs(rim - under).max() < np.abs(rim - elsewhere).max() / 2
