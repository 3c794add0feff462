"""Classifiers on frozen features: logistic regression, nearest neighbours, class prototypes.

Design choices
--------------
- For logistic regression scikit-learn finds the optimum; both doors only write it into their
  heads. Features are standardised for the solver, and the scaling is folded into the weights.
- Neighbours and prototypes learn no weights. They return a function from features to logits, which
  is what `tlcourse.study.Fitted` takes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64, Int
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse.checks import check_integer, check_positive
from tlcourse.data import Domain


def logistic_head(
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    class_names: Sequence[str],
    *,
    c: float = 1.0,
) -> tuple[Float64[np.ndarray, "k d"], Float64[np.ndarray, " k"]]:
    """Fit a linear head by logistic regression.

    Parameters
    ----------
    features : ndarray, shape (n, d)
        Frozen features.
    labels : ndarray of int, shape (n,)
        At least one example of each class.
    class_names : sequence of str
        Names of the k classes.
    c : float
        scikit-learn's inverse strength of the L2 penalty, on standardised features.

    Returns
    -------
    weight : ndarray, shape (k, d)
    bias : ndarray, shape (k,)
        Logits are ``features @ weight.T + bias``.

    Raises
    ------
    ValueError
        If a class has no example or ``c`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.probing import logistic_head
    >>> features, labels = np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1])
    >>> weight, bias = logistic_head(features, labels, ["low", "high"])
    >>> (features @ weight.T + bias).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    _check_complete(labels, class_names)
    c = check_positive("c", c)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
    probe.fit(features, labels)
    scaler, regression = probe.named_steps.values()
    weight, bias = regression.coef_, regression.intercept_
    if len(class_names) == 2:  # scikit-learn gives the second class's log-odds only
        weight, bias = np.vstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2
    weight = weight / scaler.scale_
    return weight, bias - weight @ scaler.mean_


def knn_probe(train: Domain, *, neighbours: int = 5) -> Callable[[np.ndarray], np.ndarray]:
    """Classify by the nearest training examples, in cosine distance.

    Parameters
    ----------
    train : Domain
        Features ``(n, d)`` with labels, at least one of each class.
    neighbours : int
        How many examples vote; all of them where there are fewer.

    Returns
    -------
    callable
        Maps features ``(m, d)`` to logits ``(m, k)`` float32: logarithms of the votes' shares, with
        one vote spread over all classes so that none is impossible.

    Raises
    ------
    ValueError
        If a class has no example or ``neighbours`` is no integer of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.data import Domain
    >>> from tlcourse.probing import knn_probe
    >>> train = Domain("two rays", np.array([[1.0, 0.0], [0.0, 1.0]]), [0, 1], ["right", "up"])
    >>> logits = knn_probe(train, neighbours=1)
    >>> np.exp(logits(np.array([[9.0, 1.0]]))).tolist()
    [[0.75, 0.25]]
    """
    _check_complete(train.labels, train.class_names)
    voters = min(check_integer("neighbours", neighbours), len(train))
    classifier = KNeighborsClassifier(voters, metric="cosine", algorithm="brute")
    classifier.fit(train.inputs, train.labels)

    def logits(features: Float[np.ndarray, "m d"]) -> Float32[np.ndarray, "m k"]:
        votes = voters * np.asarray(classifier.predict_proba(features))
        return np.log((votes + 1 / train.n_classes) / (voters + 1)).astype(np.float32)

    return logits


def prototype_probe(train: Domain) -> Callable[[np.ndarray], np.ndarray]:
    """Classify by the nearest class mean.

    Parameters
    ----------
    train : Domain
        Features ``(n, d)`` with labels, at least one of each class.

    Returns
    -------
    callable
        Maps features ``(m, d)`` to logits ``(m, k)`` float32: minus the squared Euclidean distances
        to the means.

    Raises
    ------
    ValueError
        If a class has no example.

    References
    ----------
    Snell, Swersky and Zemel, Prototypical Networks for Few-shot Learning, NIPS 2017, equations 1
    and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.data import Domain
    >>> from tlcourse.probing import prototype_probe
    >>> train = Domain("line", np.array([[0.0], [2.0], [7.0]]), [0, 0, 1], ["low", "high"])
    >>> logits = prototype_probe(train)
    >>> logits(np.array([[3.0]])).tolist()
    [[-4.0, -16.0]]
    """
    _check_complete(train.labels, train.class_names)
    means = np.stack(
        [
            train.inputs[train.labels == label].mean(axis=0, dtype=np.float64)
            for label in range(train.n_classes)
        ]
    )

    def logits(features: Float[np.ndarray, "m d"]) -> Float32[np.ndarray, "m k"]:
        distances = euclidean_distances(np.asarray(features, dtype=np.float64), means, squared=True)
        return -distances.astype(np.float32)

    return logits


def _check_complete(labels: Int[np.ndarray, " n"], class_names: Sequence[str]) -> None:
    """Refuse training labels that leave a class out."""
    missing = np.setdiff1d(np.arange(len(class_names)), labels)
    if len(missing):
        raise ValueError(
            f"train has no example of class {class_names[missing[0]]!r}; a probe needs at least "
            "one of each class."
        )
