"""Chapter 10's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest

from tlcourse.exercises import (
    Hint,
    check_descend,
    check_fold,
    check_head_parameters,
    check_vgg_inputs,
)

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


def step_that_alters_gradients(parameters, gradients, rate):
    for gradient in gradients:
        gradient *= rate
    return [p - g for p, g in zip(parameters, gradients, strict=True)]


def fold(kernel, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    return kernel * scale, beta - mean * scale


def folded(change_kernel=None, change_bias=None):
    def answer(kernel, gamma, beta, mean, variance, epsilon):
        scale = gamma / np.sqrt(variance + epsilon)
        given = (kernel, gamma, beta, mean, variance, scale)
        return (
            change_kernel(*given) if change_kernel else kernel * scale,
            change_bias(*given) if change_bias else beta - mean * scale,
        )

    return answer


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
    (check_vgg_inputs, lambda x: None, "returns nothing"),
    (check_vgg_inputs, lambda x: np.uint8(x[..., ::-1] * 255) - MEANS, "whole numbers"),
    (check_vgg_inputs, lambda x: np.rint(x[..., ::-1] * 255) - MEANS, "whole numbers"),
    (check_vgg_inputs, lambda x: (x[..., ::-1] * 255 - MEANS).astype(int), "whole numbers"),
    (check_vgg_inputs, lambda x: x[..., ::-1] * 255 - MEANS + 9, "red pixel"),
    (check_descend, stub, "no answer yet"),
    (check_descend, step_in_place, "were changed"),
    (check_descend, lambda p, g, r: step(p, g, -r), "climb"),
    (check_descend, lambda p, g, r: step(p, g, 1), "rate is missing"),
    (check_descend, lambda p, g, r: None, "returns nothing"),
    (check_descend, lambda p, g, r: step(p, g, r / 2), "leads to"),
    (check_descend, lambda p, g, r: step(p, g, 0.1), "use the rate that is given"),
    (check_descend, step_that_alters_gradients, "gradients were changed"),
    (check_descend, lambda p, g, r: step(p, g, r)[0], "one array for each"),
    (check_descend, lambda p, g, r: list(p), "leads to"),
    (check_descend, lambda p, g, r: [step(p, g, r)[0]] * 2, "shape"),
    (check_fold, stub, "no answer yet"),
    (check_fold, lambda k, *_: k, "two arrays"),
    (check_fold, lambda k, g, b, m, v, e: fold(k, g, b, m, v, 0), "epsilon is missing"),
    (check_fold, folded(lambda k, g, b, m, v, s: k * g / (v + 0.1)), "take its root"),
    (check_fold, folded(lambda k, g, b, m, v, s: k * s / g), "gamma is missing"),
    (check_fold, folded(lambda k, g, b, m, v, s: k * s[:, None]), "comes in"),
    (check_fold, folded(lambda k, g, b, m, v, s: k), "as it was"),
    (check_fold, folded(lambda k, g, b, m, v, s: 2 * k), "is multiplied by"),
    (check_fold, folded(None, lambda k, g, b, m, v, s: b), "mean is missing"),
    (check_fold, folded(None, lambda k, g, b, m, v, s: b - m), "unscaled"),
    (check_fold, folded(None, lambda k, g, b, m, v, s: b + m * s), "is added"),
    (check_fold, folded(None, lambda k, g, b, m, v, s: -m * s), "beta is missing"),
    (check_fold, folded(None, lambda k, g, b, m, v, s: 0 * b), "put z = 0"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_head_parameters(count)
    check_vgg_inputs(lambda x: x[..., ::-1] * 255 - MEANS)
    check_vgg_inputs(lambda x: (x[..., [2, 1, 0]] * 255 - MEANS).tolist())
    check_descend(step)
    check_descend(lambda p, g, r: tuple(part.tolist() for part in step(p, g, r)))
    check_fold(fold)
    check_fold(lambda *given: [part.tolist() for part in fold(*given)])


def test_the_preprocessing_is_that_of_keras():
    from tlcourse.keras.devices import keras

    pictures = np.random.default_rng(0).random((2, 4, 4, 3))
    theirs = keras.applications.vgg16.preprocess_input(255 * pictures)
    np.testing.assert_allclose(theirs, pictures[..., ::-1] * 255 - MEANS, atol=1e-4)


def test_a_folded_convolution_does_the_work_of_both():
    from tlcourse.keras.devices import keras

    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    convolution = keras.layers.Conv2D(5, 3, use_bias=False)
    norm = keras.layers.BatchNormalization()
    norm.build((None, 4, 4, 5))
    norm.set_weights([*rng.normal(size=(3, 5)), rng.uniform(0.5, 2, 5)])
    wanted = norm(convolution(pictures), training=False).numpy()
    kernel, bias = fold(convolution.get_weights()[0], *norm.get_weights(), norm.epsilon)
    both = keras.layers.Conv2D(5, 3)
    both.build(pictures.shape)
    both.set_weights([kernel, bias])
    np.testing.assert_allclose(both(pictures).numpy(), wanted, atol=1e-4)
