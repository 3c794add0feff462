"""What all checks do with an answer: copies handed out, nothing returned, any sequence taken."""

import numpy as np
import pytest
import torch

from tlcourse.exercises.hints import Hint, array, call


def test_an_answer_that_works_in_place_spoils_nothing():
    numbers = np.arange(3.0)

    def halve(x):
        x /= 2
        return x

    assert call(halve, numbers).tolist() == [0, 0.5, 1] and numbers.tolist() == [0, 1, 2]


def test_a_forgotten_return_is_a_hint():
    with pytest.raises(Hint, match="returns nothing; does it end with `return"):
        call(lambda: None)
    assert call(lambda: None, may_be_none=True) is None


@pytest.mark.parametrize("answer", [[1, 2], (1.0, 2.0), np.array([1, 2]), torch.ones(2, 1)[:, 0]])
def test_any_sequence_of_numbers_is_taken(answer):
    assert array(answer, 2).dtype == float


def test_what_is_no_such_array_is_a_hint():
    with pytest.raises(Hint, match=r"an array of shape \(2,\); yours has shape \(3,\)"):
        array([1, 2, 3], 2)
    with pytest.raises(Hint, match="return numbers in an array; you returned 'a'"):
        array("a", 2)
