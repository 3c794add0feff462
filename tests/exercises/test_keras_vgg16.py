"""Chapter 10's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import Hint, check_descend, check_head_parameters, check_vgg_inputs

MEANS = np.array([103.939, 116.779, 123.68])


def stub(*_):
    raise NotImplementedError


def count(h, w, c, widths, average, *, bias=1, chain=True):
    inputs, total = (c if average else h * w * c), 0
    for units in widths:
        total += inputs * units + bias * units
        inputs = units if chain else inputs
    return total


def in_place(x):
    x *= 255
    return x[..., ::-1] - MEANS


def step_in_place(parameters, gradients, rate):
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter -= rate * gradient
    return parameters


def step(parameters, gradients, rate):
    return [p - rate * g for p, g in zip(parameters, gradients, strict=True)]


WRONG = [
    (check_head_parameters, stub, "no answer yet"),
    (check_head_parameters, lambda *a: count(*a, bias=0), "biases"),
    (check_head_parameters, lambda *a: count(*a, chain=False), "second layer"),
    (check_head_parameters, lambda h, w, c, k, a: count(h, w, c, k, False), "one number per map"),
    (check_head_parameters, lambda h, w, c, k, a: count(h, h, c, k, a), "need not be square"),
    (check_vgg_inputs, stub, "no answer yet"),
    (check_vgg_inputs, in_place, "were changed"),
    (check_vgg_inputs, lambda x: x * 255 - MEANS, "other way round"),
    (check_vgg_inputs, lambda x: x[..., ::-1] * 255 - MEANS[::-1], "means belong"),
    (check_vgg_inputs, lambda x: x[..., ::-1] - MEANS, "0 to 255"),
    (check_vgg_inputs, lambda x: x[..., ::-1] * 255, "not subtracted"),
    (check_vgg_inputs, lambda x: x[..., 0], "shape"),
    (check_vgg_inputs, lambda x: x[..., ::-1] * 255 - MEANS + 9, "red pixel"),
    (check_descend, stub, "no answer yet"),
    (check_descend, step_in_place, "were changed"),
    (check_descend, lambda p, g, r: step(p, g, -r), "climb"),
    (check_descend, lambda p, g, r: step(p, g, 1), "rate is missing"),
    (check_descend, lambda p, g, r: None, "returns nothing"),
    (check_descend, lambda p, g, r: step(p, g, r / 2), "leads to"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_head_parameters(count)
    check_vgg_inputs(lambda x: x[..., ::-1] * 255 - MEANS)
    check_descend(step)


def test_the_preprocessing_is_that_of_keras():
    from tlcourse.keras.devices import keras

    pictures = np.random.default_rng(0).random((2, 4, 4, 3))
    theirs = keras.applications.vgg16.preprocess_input(255 * pictures)
    np.testing.assert_allclose(theirs, pictures[..., ::-1] * 255 - MEANS, atol=1e-4)
