"""The one door to all domains: ``tlcourse.data.load``."""

import numpy as np
import pytest

from tlcourse import data


@pytest.mark.parametrize("name", ["handwritten-digits", "signs", "iris", "wine", "breast-cancer"])
def test_bundled_domains_are_whole_and_never_vary(name):
    domain = data.load(name, seed=0)
    again = data.load(name, seed=1)
    assert domain.name == name
    assert set(domain.labels) == set(range(domain.n_classes))
    assert domain.origin and domain.licence
    np.testing.assert_array_equal(domain.inputs, again.inputs)


@pytest.mark.parametrize("name", ["rendered-letters", "rendered-digits", "rendered-signs"])
def test_rendered_domains_have_the_size_asked_for_and_follow_the_seed(name):
    first, same, other = (data.load(name, n=60, seed=seed) for seed in (0, 0, 1))
    assert len(first) == 60
    np.testing.assert_array_equal(first.inputs, same.inputs)
    assert not np.array_equal(first.inputs, other.inputs)


def test_n_keeps_a_random_choice_without_repetition():
    whole = data.load("iris")
    some = data.load("iris", n=150, seed=3)
    assert not np.array_equal(some.labels, whole.labels)  # sorted by class before
    assert np.bincount(some.labels).tolist() == [50, 50, 50]
    assert len(data.load("iris", n=7)) == 7


def test_a_wrong_name_is_told_the_right_ones():
    with pytest.raises(ValueError, match="'mnst'; the domains are .*mnist"):
        data.load("mnst")


@pytest.mark.parametrize("n", [0, -1, 2.5, 151])
def test_a_wrong_number_is_refused(n):
    with pytest.raises(ValueError, match="n is "):
        data.load("iris", n=n)


def test_every_listed_name_can_be_looked_up():
    assert {"mnist", "fashion-mnist", "usps", "ants-bees", "signs"} <= set(data.names())
