"""Arrays at the door: what comes back, and what is refused. The callers' tests hold the rest."""

import numpy as np
import pytest

from tlcourse.checks import (
    check_class_labels,
    check_counts,
    check_features,
    check_integer,
    check_integers,
    check_positive,
)


def test_features_come_back_as_float64_without_a_needless_copy():
    rows = np.ones((3, 2))
    assert check_features("x", rows) is rows
    assert check_features("x", rows.astype(np.float32)).dtype == np.float64
    assert check_features("x", [[1, 2], [3, 4]]).dtype == np.float64


def test_labels_come_back_as_positions_among_the_classes_that_occur():
    classes, codes = check_class_labels("labels", np.array([7, 2, 7, 4], dtype=np.uint8))
    assert classes.tolist() == [2, 4, 7]
    assert codes.tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize("rows", [np.ones((3, 2), dtype=complex), np.array([["a"], ["b"]])])
def test_features_that_are_not_real_numbers_are_refused(rows):
    with pytest.raises(TypeError, match="x has dtype .*; give an array of real numbers"):
        check_features("x", rows)


@pytest.mark.parametrize("number", [-1, 0, np.nan, np.inf])
def test_numbers_must_be_finite_and_positive(number):
    with pytest.raises(ValueError, match=f"width is {number}; give a finite number > 0"):
        check_positive("width", number)


def test_zero_is_positive_only_where_it_is_allowed_and_true_is_no_number():
    assert check_positive("reg", 0, or_zero=True) == 0.0
    assert check_positive("reg", np.float32(2)) == 2.0
    with pytest.raises(TypeError, match="reg is True; give a number > 0"):
        check_positive("reg", True)


@pytest.mark.parametrize("number", [0, -3, 2.0, True, "3", None, np.float64(4)])
def test_an_integer_is_neither_a_fraction_nor_true_nor_too_small(number):
    with pytest.raises(ValueError, match=r"^k is .*; it must be an integer >= 1\.$"):
        check_integer("k", number)


def test_numpys_integers_are_integers_and_the_bound_itself_is_allowed():
    assert check_integer("k", np.int64(7)) == 7 and type(check_integer("k", np.uint8(7))) is int
    assert check_integer("k", 0, smallest=0) == 0
    with pytest.raises(ValueError, match="k is 1; it must be an integer >= 2"):
        check_integer("k", 1, smallest=2)


def test_counts_may_be_missing_and_the_bad_one_is_named():
    check_counts(steps=None, epochs=1)
    with pytest.raises(ValueError, match="steps is 0"):
        check_counts(epochs=1, steps=0)


def test_integers_come_back_as_a_list_of_distinct_ones():
    assert check_integers("seeds", range(3), smallest=0) == [0, 1, 2]
    with pytest.raises(ValueError, match=r"seeds\[1\] is -1; it must be an integer >= 0"):
        check_integers("seeds", [4, -1], smallest=0)
