"""Strategies that stand beside every experiment.

Design choices
--------------
- A control knows nothing of the source, and needs no setting that somebody could tune.
- It is as strong as it can be without tuning: a weak control makes every rival look good.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

from tlcourse.data import Domain
from tlcourse.study.experiment import Fitted


def raw_pixels(train: Domain, validation: Domain | None = None, *, seed: int = 0) -> Fitted:
    """Fit logistic regression to the pixels as they are, as if no net was needed.

    The pixels are not standardised: of a few pictures, many pixels hardly vary, and dividing by
    that little makes noise of them. The penalty is scikit-learn's default. Nothing is random.

    Parameters
    ----------
    train : Domain
        Pictures in [0, 1], at least one of each class.
    validation : Domain, optional
        Not looked at.
    seed : int
        Not used; every strategy of a `study` is given one.

    Returns
    -------
    Fitted
        Its ``trained_parameters`` are weights and biases.

    Raises
    ------
    ValueError
        If a class has no example.

    Examples
    --------
    >>> from tlcourse import data
    >>> from tlcourse.study import raw_pixels, study
    >>> digits = data.load("handwritten-digits")
    >>> table = study({"raw pixels": raw_pixels}, digits, [20], range(2), progress=False)
    >>> bool(table["accuracy"].min() > 0.9)
    True
    """

    def flat(pictures):
        return pictures.reshape(len(pictures), -1)

    missing = np.setdiff1d(np.arange(train.n_classes), train.labels)
    if len(missing):
        raise ValueError(
            f"train has no example of class {train.class_names[missing[0]]!r}; give at least one "
            "of each class."
        )
    model = LogisticRegression(max_iter=2000).fit(flat(train.inputs), train.labels)

    def predict(pictures):
        scores = model.decision_function(flat(pictures))
        return scores if scores.ndim == 2 else np.stack([0 * scores, scores], axis=1)

    return Fitted(predict, model.coef_.size + model.intercept_.size)
