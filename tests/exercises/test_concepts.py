"""Chapter 2's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_label_saving, check_setting, check_shuffle_tiles


def stub(*_):
    raise NotImplementedError


def setting(source, target, same):
    if target:
        return "inductive"
    if source:
        return "transductive" if same else None
    return "unsupervised"


def saving(budgets, transfer, scratch, level, first=np.argmax):
    if max(transfer) < level or max(scratch) < level:
        return None
    return budgets[first(scratch >= level)] / budgets[first(transfer >= level)]


def last_crossing(reached):
    return len(reached) - np.argmin(reached[::-1]) if not reached.all() else 0


def shuffle(images, side, order):
    shuffled = images.copy()
    for top in range(0, images.shape[1], side):
        for left in range(0, images.shape[2], side):
            tile = images[:, top : top + side, left : left + side]
            flat = tile.reshape(len(tile), side * side, -1)[:, order]
            shuffled[:, top : top + side, left : left + side] = flat.reshape(tile.shape)
    return shuffled


def across_rows(images, side, order):
    return images.reshape(-1, side * side)[:, order].reshape(images.shape)


def down_first(images, side, order):
    return shuffle(images.swapaxes(1, 2), side, order).swapaxes(1, 2)


WRONG = [
    (check_setting, stub, "no answer yet"),
    (check_setting, lambda s, t, m: "inductive", "labels in the source only"),
    (check_setting, lambda s, t, m: setting(s, t and s, m), "even without source labels"),
    (check_setting, lambda s, t, m: setting(s, t, True), "none of the three"),
    (check_setting, lambda s, t, m: "transductive" if s else "unsupervised", "whatever the source"),
    (check_label_saving, stub, "no answer yet"),
    (check_label_saving, lambda b, t, s, v: saving(b, s, t, v), "turned round"),
    (
        check_label_saving,
        lambda b, t, s, v: b[np.argmax(s >= v)] - b[np.argmax(t >= v)],
        "not a difference",
    ),
    (
        check_label_saving,
        lambda b, t, s, v: b[np.argmax(s >= v)] / b[np.argmax(t >= v)],
        "never reaches",
    ),
    (check_label_saving, lambda b, t, s, v: saving(b, t - 1e-9, s, v), "equal to the level"),
    (check_label_saving, lambda b, t, s, v: saving(b, t, s, v, first=last_crossing), "first"),
    (check_shuffle_tiles, stub, "no answer yet"),
    (check_shuffle_tiles, lambda x, side, order: None, "returns nothing"),
    (check_shuffle_tiles, lambda x, side, order: x, "nothing has moved"),
    (check_shuffle_tiles, lambda x, side, order: shuffle(x, side, np.argsort(order)), "order"),
    (check_shuffle_tiles, across_rows, "follow each other in a row"),
    (check_shuffle_tiles, down_first, "count row by row"),
    (check_shuffle_tiles, lambda x, side, order: x[:, ::-1], "the first tile of the first"),
    (check_shuffle_tiles, lambda x, side, order: shuffle(x[..., :1], side, order), "shape"),
    (
        check_shuffle_tiles,
        lambda x, side, order: shuffle(x, side, np.roll(order, len(order) - 4)),
        "3 x 3 tiles",
    ),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def by_index(images, side, order):
    """Compute where each pixel comes from."""
    rows, columns = np.indices(images.shape[1:3])
    came = np.asarray(order)[(rows % side) * side + columns % side]
    return images[:, rows - rows % side + came // side, columns - columns % side + came % side]


RIGHT = [
    (check_setting, setting),
    (
        check_setting,
        lambda s, t, m: (
            ["unsupervised", "inductive"][t] if t or not s else ("transductive" if m else None)
        ),
    ),
    (check_label_saving, saving),
    (
        check_label_saving,
        lambda b, t, s, v: np.float32(saving(b, t, s, v) or np.nan) if max(s) >= v else None,
    ),
    (check_shuffle_tiles, shuffle),
    (check_shuffle_tiles, by_index),
    (check_shuffle_tiles, lambda x, side, order: by_index(x, side, order).tolist()),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_however_they_are_written(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out == "Right.\n"
