"""The control on raw pixels is scikit-learn's logistic regression, and looks at nothing else."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tlcourse import data
from tlcourse.probing import logistic_head
from tlcourse.study import raw_pixels


def test_it_is_scikit_learns_on_flat_pixels():
    train, validation, test = data.few_shot_split(data.load("handwritten-digits"), 5, seed=0)
    fitted = raw_pixels(train, validation, seed=3)
    reference = LogisticRegression(max_iter=2000)
    reference.fit(train.inputs.reshape(50, -1), train.labels)
    expected = reference.decision_function(test.inputs.reshape(len(test), -1))
    np.testing.assert_allclose(fitted.predict(test.inputs), expected, atol=1e-3)
    assert fitted.trained_parameters == 10 * (32 * 32 + 1)


def test_a_class_without_an_example_is_refused():
    digits = data.load("handwritten-digits")
    with pytest.raises(ValueError, match="no example"):
        raw_pixels(digits.subset(np.flatnonzero(digits.labels > 0)))


def test_it_is_not_the_weak_control_on_standardised_pixels():
    """With one picture a class, standardising costs the control a tenth of all answers."""
    split = data.few_shot_split(data.load("handwritten-digits"), 1, seed=0)
    rows = split.train.inputs.reshape(10, -1)
    weight, bias = logistic_head(rows, split.train.labels, split.train.class_names)
    weak = split.test.inputs.reshape(len(split.test), -1) @ weight.T + bias
    strong = raw_pixels(split.train).predict(split.test.inputs)
    right = [(one.argmax(axis=1) == split.test.labels).mean() for one in (weak, strong)]
    assert right[1] > right[0] + 0.05


def test_two_classes_have_two_logits():
    digits = data.load("handwritten-digits")
    rows = np.flatnonzero(digits.labels < 2)
    two = data.Domain("two", digits.inputs[rows], digits.labels[rows], ("0", "1"))
    answers = raw_pixels(two).predict(two.inputs)
    assert answers.shape == (len(rows), 2) and (answers.argmax(1) == two.labels).mean() > 0.99
