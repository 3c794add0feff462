"""Which model reads the target best? Guesses that need no label of the target.

Design choices
--------------
- Higher is better for all, so that one line chooses.
- Everything takes what models have answered: logits, features, labels of the source.
- Each guess leans on something that the target may break; its docstring says on what.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse.checks import check_features, check_prior
from tlcourse.scores.similarity import _check_domains

_FOLDS = 5


def certainty(logits: ArrayLike) -> float:
    r"""Negative prediction entropy: how sure the answers are, one by one.

    .. math:: -\frac1n \sum_i H(p_i), \qquad H(p) = -\sum_k p_k \log p_k

    It leans on sure answers being right. A model that gives all examples the same class, and is
    sure of it, has the best value there is.

    Parameters
    ----------
    logits : array-like of float, shape (n, k)
        Of unlabelled examples of the target.

    Returns
    -------
    float
        In nats, from -log(k) to 0.

    Raises
    ------
    TypeError, ValueError
        If the logits are not finite rows.

    References
    ----------
    P. Morerio, J. Cavazza, V. Murino, Minimal-entropy correlation alignment for unsupervised deep
    domain adaptation, ICLR 2018.

    Examples
    --------
    >>> from tlcourse.scores import certainty
    >>> round(certainty([[0.0, 0.0], [1.0, 1.0]]), 4)  # no idea: -log(2)
    -0.6931
    """
    log_p = log_softmax(check_features("logits", logits, min_rows=1), axis=1)
    return float((np.exp(log_p) * log_p).sum(axis=1).mean())


def infomax(logits: ArrayLike, *, prior: ArrayLike | None = None) -> float:
    r"""Certainty of the answers one by one, less their distance from the prior together.

    .. math:: -\frac1n\sum_i H(p_i) - \mathrm{KL}(\bar p\,\|\,q),
              \qquad \bar p = \frac1n\sum_i p_i

    For equally frequent classes this is the mutual information of input and answer [1]_, less
    the constant :math:`\log k`. It leans on the prior :math:`q`, and says nothing new of a model
    that was trained to make it large.

    Parameters
    ----------
    logits : array-like of float, shape (n, k)
        Of unlabelled examples of the target.
    prior : array-like of float, shape (k,), optional
        How frequent each class is in the target, above 0; scaled to sum to 1. By default all
        alike.

    Returns
    -------
    float
        In nats; 0 where all answers are certain and as frequent as the prior says.

    Raises
    ------
    TypeError, ValueError
        If the logits are not finite rows, or the prior does not fit them.

    References
    ----------
    .. [1] J. S. Bridle, A. J. R. Heading, D. J. C. MacKay, Unsupervised classifiers, mutual
       information and phantom targets, NIPS 1991.

    Examples
    --------
    >>> from tlcourse.scores import infomax
    >>> one_class, both = [[50.0, 0.0], [50.0, 0.0]], [[50.0, 0.0], [0.0, 50.0]]
    >>> round(infomax(one_class), 4), abs(round(infomax(both), 4))
    (-0.6931, 0.0)
    """
    rows = check_features("logits", logits, min_rows=1)
    k = rows.shape[1]
    q = check_prior(np.ones(k) if prior is None else prior, k)
    mean = np.exp(log_softmax(rows, axis=1)).mean(axis=0)
    named = mean > 0  # a class of share 0 adds 0
    divergence = (mean[named] * np.log(mean[named] / q[named])).sum()
    return float(certainty(rows) - divergence)


def agreement(logits: ArrayLike, changed_logits: ArrayLike) -> float:
    """Share of examples that get the same answer after a change that keeps their meaning.

    It leans on mistakes being unstable. A model that gives all examples the same class agrees
    with itself always.

    Parameters
    ----------
    logits, changed_logits : array-like of float, shape (n, k)
        Of the target's examples as they are, and of the same examples changed, such as by
        `tlcourse.torch.strokes_augmentation`.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If they are not finite rows of one shape.

    Examples
    --------
    >>> from tlcourse.scores import agreement
    >>> agreement([[2.0, 0.0], [0.0, 3.0]], [[9.0, 0.0], [1.0, 0.0]])
    0.5
    """
    plain = check_features("logits", logits, min_rows=1)
    changed = check_features("changed_logits", changed_logits, min_rows=1)
    if plain.shape != changed.shape:
        raise ValueError(
            f"changed_logits have the shape {changed.shape} and logits {plain.shape}; give the "
            "answers to the same examples, in order."
        )
    return float(np.mean(plain.argmax(axis=1) == changed.argmax(axis=1)))


def source_validation(
    logits: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    r"""Accuracy on held-out examples of the source; with weights, of the target that they mimic.

    .. math:: \frac{\sum_i r_i\,[\arg\max_k f_k(x_i) = y_i]}{\sum_i r_i}, \qquad
              r_i = \frac{p_t(x_i)}{p_s(x_i)}

    Without weights it leans on the domains being alike; with weights [1]_, only on the source
    lying wherever the target does. The weights are divided by their sum, which they would be
    close to anyway if that were true.

    Parameters
    ----------
    logits : array-like of float, shape (n, k)
        Of labelled examples of the source that the model was not trained on.
    labels : array-like of int, shape (n,)
        Their classes.
    weights : array-like of float, shape (n,), optional
        Density ratios, such as `importance_weights` gives; by default all alike.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If the logits are not finite rows, labels or weights do not fit them, or a weight is
        negative or all are 0.

    References
    ----------
    .. [1] M. Sugiyama, M. Krauledat, K.-R. Müller, Covariate shift adaptation by importance
       weighted cross validation, JMLR 8, 2007.

    Examples
    --------
    >>> from tlcourse.scores import source_validation
    >>> logits, labels = [[1.0, 0.0], [1.0, 0.0]], [0, 1]
    >>> source_validation(logits, labels), source_validation(logits, labels, weights=[3, 1])
    (0.5, 0.75)
    """
    rows = check_features("logits", logits, min_rows=1)
    classes = np.asarray(labels)
    if classes.shape != (len(rows),):
        raise ValueError(f"labels have shape {classes.shape}; {len(rows)} logits need one each.")
    r = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    if r.shape != classes.shape or not np.isfinite(r).all() or r.min() < 0 or not r.any():
        raise ValueError(
            f"weights are {weights!r}; give {len(rows)} numbers of at least 0, not all of them 0."
        )
    return float(np.average(rows.argmax(axis=1) == classes, weights=r))


def importance_weights(source: ArrayLike, target: ArrayLike, *, seed: int) -> np.ndarray:
    r"""Estimate how much denser the target lies at each row of the source than the source does.

    .. math:: r_i = \frac{p_t(x_i)}{p_s(x_i)}
                  = \frac{p(\text{target} \mid x_i)}{p(\text{source} \mid x_i)}

    by a logistic regression that tells the domains, each of which counts half [1]_. A row's odds
    come from a fit without it, in five folds. Where nearly all weights are close to 0, the domains
    hardly overlap, and no weighting helps.

    Parameters
    ----------
    source, target : array-like of float, shapes (n, d) and (m, d)
        Features under one model.
    seed : int
        Seed of the folds.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If the features are not finite rows of one width, at least 5 of each.

    References
    ----------
    .. [1] S. Bickel, M. Brückner, T. Scheffer, Discriminative learning for differing training and
       test distributions, ICML 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from tlcourse.scores import importance_weights
    >>> source = np.linspace(-2, 2, 40)[:, None]
    >>> weights = importance_weights(source, source + 1, seed=0)
    >>> bool(weights[-1] > 1 > weights[0])
    True
    """
    first, second = _check_domains(source, target, min_rows=_FOLDS)
    rows = np.concatenate([first, second])
    domain = np.repeat([0, 1], [len(first), len(second)])
    judge = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    told = cross_val_predict(judge, rows, domain, cv=folds, method="predict_proba")
    p = np.asarray(told)[: len(first), 1]
    return p / np.maximum(1 - p, np.finfo(np.float64).tiny)
