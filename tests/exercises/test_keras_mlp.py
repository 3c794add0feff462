"""Chapter 8's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_bounding_box, check_cross_entropy


def stub(*_):
    raise NotImplementedError


def losses(p, y):
    return -np.log(p[np.arange(len(p)), y.argmax(axis=1) if y.ndim == 2 else y])


def loss(p, y):
    if y.shape not in (p.shape, p.shape[:1]):
        raise ValueError
    return losses(p, y).mean()


def box(picture, threshold):
    ink = picture > threshold
    if not ink.any():
        return 0, picture.shape[0], 0, picture.shape[1]
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def refuse_by_index(p, y):
    if y.shape == (6, 3):
        raise IndexError
    return loss(p, y)


WRONG = [
    (check_cross_entropy, stub, "no answer yet"),
    (check_cross_entropy, lambda p, y: losses(p, y).sum(), "return the mean"),
    (check_cross_entropy, lambda p, y: -losses(p, y).mean(), "turned round"),
    (check_cross_entropy, lambda p, y: losses(p, y).sum() / p.size, "divide by n"),
    (check_cross_entropy, lambda p, y: loss(p, y) if y.ndim == 1 else 0.0, "one-hot rows"),
    (check_cross_entropy, lambda p, y: losses(p, y).mean(), "ValueError instead"),
    (check_cross_entropy, refuse_by_index, "IndexError"),
    (check_bounding_box, stub, "no answer yet"),
    (check_bounding_box, lambda x, t: box(x.T, t), "exchanged"),
    (check_bounding_box, lambda x, t: (2, 4, 6, 13), "cut off"),
    (check_bounding_box, lambda x, t: box(x, 0), "every pixel that is not zero"),
    (check_bounding_box, lambda x, t: (1, 5, 6, 14), "rows 2 to 4"),
    (check_bounding_box, lambda x, t: box(x, t) if x.any() else (0, 0, 0, 0), "without ink"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_cross_entropy(loss)
    check_bounding_box(box)
