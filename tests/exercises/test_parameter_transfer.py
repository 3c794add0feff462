"""Chapter 4's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import (
    Hint,
    check_discriminative_rates,
    check_interpolate,
    check_merge_lora,
)


def stub(*_):
    raise NotImplementedError


def mix(a, b, t):
    return {name: (1 - t) * a[name] + t * b[name] for name in a}


def in_place(a, b, t):
    for name in a:
        a[name] *= 1 - t
        a[name] += t * b[name]
    return a


WRONG = [
    (check_discriminative_rates, stub, "no answer yet"),
    (check_discriminative_rates, lambda n, top, d: [top / d**i for i in range(n)], "turned round"),
    (
        check_discriminative_rates,
        lambda n, top, d: [top / d ** (n - i) for i in range(n)],
        "itself",
    ),
    (check_discriminative_rates, lambda n, top, d: [top * d**i for i in range(n)], "divide"),
    (check_discriminative_rates, lambda n, top, d: [top / d**i for i in range(n - 1)], "four"),
    (check_discriminative_rates, lambda n, top, d: [top] * n, "layer above"),
    (check_interpolate, stub, "no answer yet"),
    (check_interpolate, lambda a, b, t: mix(b, a, t), "swapped"),
    (check_interpolate, in_place, "changes the starting net"),
    (
        check_interpolate,
        lambda a, b, t: {n: v for n, v in mix(a, b, t).items() if "running" not in n},
        "every one",
    ),
    (
        check_interpolate,
        lambda a, b, t: {n: b[n] if "running" in n else v for n, v in mix(a, b, t).items()},
        "norm.running_mean is not",
    ),
    (check_merge_lora, stub, "no answer yet"),
    (check_merge_lora, lambda w, a, b, s: w + b @ a, "scaled by alpha"),
    (check_merge_lora, lambda w, a, b, s: w + s * b @ a, "divide alpha by the rank"),
    (check_merge_lora, lambda w, a, b, s: s / len(a) * b @ a, "add it to the weight"),
    (check_merge_lora, lambda w, a, b, s: w + s / len(b) * b @ a, "wanted is weight"),
    (check_merge_lora, lambda w, a, b, s: (w + b @ a).T, "shape"),
    (check_merge_lora, lambda w, a, b, s: np.add(w, s / 2 * b @ a, out=w), "new array"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)
