"""Chapter 2's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_label_saving, check_setting


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
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_setting(setting)
    check_label_saving(saving)
