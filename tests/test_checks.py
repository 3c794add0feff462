"""Arrays at the door: what comes back, and what is refused. The callers' tests hold the rest."""

import numpy as np
import pytest

from tlcourse.checks import check_class_labels, check_features, check_positive


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
