"""The control on raw inputs is scikit-learn's logistic regression, and looks at nothing else."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse import data
from tlcourse.study import raw_inputs


def test_it_is_scikit_learns_on_flat_standardised_inputs():
    train, validation, test = data.few_shot_split(data.load("handwritten-digits"), 5, seed=0)
    fitted = raw_inputs(train, validation, seed=3)
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    reference.fit(train.inputs.reshape(50, -1), train.labels)
    expected = reference.decision_function(test.inputs.reshape(len(test), -1))
    np.testing.assert_allclose(fitted.predict(test.inputs), expected, atol=1e-3)
    assert fitted.trained_parameters == 10 * (32 * 32 + 1)


def test_a_class_without_an_example_is_refused():
    digits = data.load("handwritten-digits")
    with pytest.raises(ValueError, match="no example"):
        raw_inputs(digits.subset(np.flatnonzero(digits.labels > 0)))
