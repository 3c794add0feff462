"""A domain refuses bad arrays at the door; a few-shot split is fair, disjoint, and nested."""

import numpy as np
import pytest

from tlcourse.data import Domain, few_shot_split


def rows(n=120, classes=3, d=2):
    """Make a domain whose first feature is the row's number."""
    inputs = np.arange(n * d, dtype=np.float32).reshape(n, d)
    return Domain("rows", inputs, np.arange(n) % classes, [f"class {c}" for c in range(classes)])


def numbers(domain):
    return set(domain.inputs[:, 0].tolist())


def test_a_domain_describes_itself_and_fixes_types():
    images = np.zeros((4, 5, 6, 3), dtype=np.float64)
    domain = Domain("z", images, np.array([0, 1, 1, 0], dtype=np.int8), ["a", "b"], "home", "mine")
    assert repr(domain) == "Domain('z', 4 x 5x6x3, 2 classes)"
    assert domain.is_image and len(domain) == 4 and domain.n_classes == 2
    assert domain.inputs.dtype == np.float32 and domain.labels.dtype == np.int64
    assert domain.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("inputs", "labels", "error", "reason"),
    [
        (np.zeros((2, 3), dtype=int), [0, 1], TypeError, "divide bytes by 255"),
        (np.zeros((2, 3, 3)), [0, 1], ValueError, r"shape \(2, 3, 3\)"),
        (np.zeros((2, 3, 3, 2)), [0, 1], ValueError, "1 or 3"),
        (np.full((2, 3), np.nan), [0, 1], ValueError, "NaN or infinity"),
        (np.array([[1.0], [np.inf]]), [0, 1], ValueError, "NaN or infinity"),
        (np.array([[1.0], [1e39]]), [0, 1], ValueError, "NaN or infinity"),
        (np.array([[1.0], [-1e39]]), [0, 1], ValueError, "NaN or infinity"),
        (np.full((2, 4, 4, 1), 255.0), [0, 1], ValueError, r"span \[255, 255\]; scale them"),
        (np.full((2, 4, 4, 1), -0.1), [0, 1], ValueError, "scale them"),
        (np.zeros((2, 3)), [0.0, 1.0], TypeError, "integers from 0"),
        (np.zeros((2, 3)), [0, 2], ValueError, "2 class names allow 0 to 1"),
        (np.zeros((2, 3)), [0, -1], ValueError, "allow 0 to 1"),
        (np.zeros((2, 3)), [0], ValueError, "2 inputs need"),
    ],
)
def test_bad_arrays_are_refused_with_the_remedy(inputs, labels, error, reason):
    with pytest.raises(error, match=reason):
        Domain("bad", inputs, np.array(labels), ["a", "b"])


def test_subset_and_with_inputs_keep_the_labels_in_step():
    domain = rows()
    some = domain.subset([5, 3])
    assert some.labels.tolist() == [2, 0] and some.inputs[:, 0].tolist() == [10, 6]
    view = domain.with_inputs(-domain.inputs, name="view")
    assert view.name == "view" and np.array_equal(view.labels, domain.labels)
    with pytest.raises(ValueError, match="labels of 'rows' have shape"):
        domain.with_inputs(domain.inputs[:5])


def test_a_split_is_disjoint_and_equal_per_class():
    parts = few_shot_split(rows(), 4, validation_per_class=5, test_per_class=20, seed=0)
    for part, size in zip(parts, (4, 5, 20), strict=True):
        assert np.bincount(part.labels).tolist() == [size] * 3
    together = [numbers(part) for part in parts]
    assert len(set.union(*together)) == sum(map(len, together)) == 3 * 29


def test_larger_budgets_contain_smaller_ones_and_leave_the_held_out_sets_alone():
    small, large = (
        few_shot_split(rows(), k, validation_per_class=5, test_per_class=20, seed=7)
        for k in (2, 15)
    )
    assert numbers(small.train) < numbers(large.train)
    np.testing.assert_array_equal(small.test.inputs, large.test.inputs)
    np.testing.assert_array_equal(small.validation.inputs, large.validation.inputs)


def test_the_seed_decides_the_draw_and_rows_are_shuffled():
    one, same, other = (few_shot_split(rows(), 4, test_per_class=20, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.train.inputs, same.train.inputs)
    assert numbers(one.test) != numbers(other.test)
    assert np.abs(np.diff(one.test.labels)).sum() > 2  # not sorted by class


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"per_class": 0}, "per_class is 0"),
        ({"per_class": 1.5}, "per_class is 1.5"),
        ({"validation_per_class": -1}, "validation_per_class is -1"),
        ({"per_class": 30}, "class 'class 0' of 'rows' has 40 examples.*Lower one"),
    ],
)
def test_impossible_splits_are_refused(options, reason):
    sizes = {"per_class": 2, "validation_per_class": 5, "test_per_class": 20} | options
    with pytest.raises(ValueError, match=reason):
        few_shot_split(rows(), **sizes, seed=0)
