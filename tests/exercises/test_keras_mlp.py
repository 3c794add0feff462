"""Chapter 8's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_bounding_box, check_cross_entropy, check_damage


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


def damage(pictures, share, seed):
    keep = np.random.default_rng(seed).random(pictures.shape) >= share
    return pictures * keep


def damage_in_place(pictures, share, seed):
    pictures[np.random.default_rng(seed).random(pictures.shape) < share] = 0
    return pictures


def damage_alike(pictures, share, seed):
    return pictures * (np.random.default_rng(seed).random(pictures.shape[1:]) >= share)


def damage_whole(pictures, share, seed):
    return pictures * (np.random.default_rng(seed).random((len(pictures), 1, 1, 1)) >= share)


def damage_by_noise(pictures, share, seed):
    return pictures + share * np.random.default_rng(seed).normal(size=pictures.shape)


def damage_at_least_one(pictures, share, seed):
    damaged = damage(pictures, share, seed)
    damaged[0, 0, 0, 0] = 0
    return damaged


COUNT = iter(range(1000))
WRONG = [
    (check_cross_entropy, stub, "no answer yet"),
    (check_cross_entropy, lambda p, y: losses(p, y).sum(), "return the mean"),
    (check_cross_entropy, lambda p, y: -losses(p, y).mean(), "turned round"),
    (check_cross_entropy, lambda p, y: losses(p, y).sum() / p.size, "divide by n"),
    (check_cross_entropy, lambda p, y: loss(p, y) if y.ndim == 1 else 0.0, "one-hot rows"),
    (check_cross_entropy, lambda p, y: losses(p, y).mean(), "ValueError instead"),
    (check_cross_entropy, refuse_by_index, "IndexError"),
    (check_cross_entropy, lambda p, y: None, "returns nothing"),
    (check_cross_entropy, losses, "one number"),
    (check_bounding_box, stub, "no answer yet"),
    (check_bounding_box, lambda x, t: None, "returns nothing"),
    (check_bounding_box, lambda x, t: 3, "shape"),
    (check_bounding_box, lambda x, t: box(x.T, t), "exchanged"),
    (check_bounding_box, lambda x, t: (2, 4, 6, 13), "cut off"),
    (check_bounding_box, lambda x, t: box(x, 0), "every pixel that is not zero"),
    (check_bounding_box, lambda x, t: (1, 5, 6, 14), "rows 2 to 4"),
    (check_bounding_box, lambda x, t: box(x, t) if x.any() else (0, 0, 0, 0), "without ink"),
    (check_damage, stub, "no answer yet"),
    (check_damage, lambda x, share, seed: None, "returns nothing"),
    (check_damage, damage_in_place, "given pictures were changed"),
    (check_damage, damage_by_noise, "either 0 or as it was"),
    (check_damage, damage_alike, "loses the same pixels"),
    (check_damage, damage_whole, "whole pictures"),
    (check_damage, lambda x, share, seed: damage(x, 1 - share, seed), "share that should go"),
    (check_damage, lambda x, share, seed: damage(x, 0.5, seed), "should go; in yours"),
    (check_damage, lambda x, share, seed: damage(x, share, next(COUNT)), "the same seed"),
    (check_damage, lambda x, share, seed: damage(x, share, 0), "another seed"),
    (check_damage, damage_at_least_one, "nothing is lost"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_cross_entropy(loss)
    check_cross_entropy(lambda p, y: [loss(p, y)][0])
    check_bounding_box(box)
    check_bounding_box(lambda x, t: list(box(x, t)))
    check_damage(damage)
    check_damage(
        lambda x, s, seed: np.where(np.random.default_rng(seed).random(x.shape) < s, 0, x).tolist()
    )
