"""Strategies that stand beside every experiment.

Design choices
--------------
- A control knows nothing of the source, and needs no setting that somebody could tune.
"""

from tlcourse.data import Domain
from tlcourse.probing import logistic_head
from tlcourse.study.experiment import Fitted


def raw_inputs(train: Domain, validation: Domain | None = None, *, seed: int = 0) -> Fitted:
    """Fit logistic regression to the inputs as they are, as if no net was needed.

    The inputs are flattened and standardised by the training set; the penalty is scikit-learn's
    default. Nothing is random.

    Parameters
    ----------
    train : Domain
        At least one example of each class.
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
    >>> from tlcourse.study import raw_inputs, study
    >>> digits = data.load("handwritten-digits")
    >>> table = study({"raw pixels": raw_inputs}, digits, [20], range(2), progress=False)
    >>> bool(table["accuracy"].min() > 0.8)
    True
    """

    def flat(inputs):
        return inputs.reshape(len(inputs), -1)

    weight, bias = logistic_head(flat(train.inputs), train.labels, train.class_names)
    return Fitted(lambda inputs: flat(inputs) @ weight.T + bias, weight.size + bias.size)
