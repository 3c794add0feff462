"""Is the adaptation working? Signs that need no target label, and one that does.

Design choices
--------------
- Everything but the recall is computed from inputs alone, so it may be used to choose a setting.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from tlcourse.data import Domain, Pictures
from tlcourse.scores import mmd, proxy_a_distance
from tlcourse.torch.models import TransferModel
from tlcourse.torch.training import extract_features, predict

_COLLAPSE = 0.3


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """How far apart two domains are in a model's features, and what it predicts on the target.

    Attributes
    ----------
    proxy_a_distance : float
        0: no linear classifier can tell the domains; 2: it always can.
    domain_accuracy : float
        Cross-validated share of rows whose domain that classifier tells, 0.5 to 1.
    mmd : float
        Squared maximum mean discrepancy of the features, Gaussian kernel.
    shares : ndarray, shape (k,)
        Share of the target's predictions that each class gets.
    shift : float
        Total variation distance between these shares and the source's class shares, 0 to 1.
    confidence : float
        Mean of the largest predicted probability on the target.
    recall : ndarray, shape (k,), or None
        Share of each target class predicted rightly. Needs target labels.
    """

    proxy_a_distance: float
    domain_accuracy: float
    mmd: float
    shares: np.ndarray
    shift: float
    confidence: float
    recall: np.ndarray | None

    @property
    def collapsed(self) -> bool:
        """Whether predictions crowd into few classes: ``shift`` above 0.3.

        The alarm supposes that classes are about as frequent in the target as in the source.
        """
        return self.shift > _COLLAPSE

    def __str__(self) -> str:
        """Say it in one line."""
        recall = "" if self.recall is None else f", weakest recall {np.nanmin(self.recall):.2f}"
        return (
            f"domain accuracy {self.domain_accuracy:.2f}, A-distance {self.proxy_a_distance:.2f}, "
            f"class shift {self.shift:.2f}{' (COLLAPSED)' if self.collapsed else ''}, "
            f"confidence {self.confidence:.2f}{recall}"
        )


def diagnose(
    model: TransferModel,
    source: Domain,
    target_inputs: np.ndarray | Pictures,
    *,
    target_labels: np.ndarray | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Diagnosis:
    """Compare a model's features and predictions on source and target.

    Parameters
    ----------
    model : TransferModel
        Trained or adapted.
    source : Domain
        Source examples.
    target_inputs : ndarray of float32, shape (m, h, w, c)
        Target examples.
    target_labels : ndarray of int, shape (m,), optional
        Only for ``recall``; nothing else looks at them.
    seed : int
        Seed of the cross-validation.
    device : str
        See `choose_device`.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError
        If the source is not a `Domain`.
    ValueError
        If a domain has too few examples, or the labels do not match the inputs.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> source, target = (data.load(f"{kind}-digits", n=60) for kind in ("rendered", "handwritten"))
    >>> model = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    >>> found = tl.diagnose(model, source, target.inputs)
    >>> found.domain_accuracy > 0.9, found.shares.shape, found.recall
    (True, (10,), None)
    """
    if not isinstance(source, Domain):
        raise TypeError(f"source is a {type(source).__name__}; give a tlcourse.data.Domain.")
    if target_labels is not None and np.shape(target_labels) != (len(target_inputs),):
        raise ValueError(
            f"target_labels have shape {np.shape(target_labels)}; {len(target_inputs)} inputs need "
            f"({len(target_inputs)},)."
        )
    features = [
        extract_features(model, inputs, device=device) for inputs in (source.inputs, target_inputs)
    ]
    distance = proxy_a_distance(*features, seed=seed)
    probabilities = softmax(predict(model, target_inputs, device=device), axis=1)
    predicted, k = probabilities.argmax(axis=1), probabilities.shape[1]
    shares = np.bincount(predicted, minlength=k) / len(predicted)
    expected = np.bincount(source.labels, minlength=k) / len(source)
    recall = None
    if target_labels is not None:
        recall = np.array(
            [
                np.mean(predicted[target_labels == label] == label)
                if np.any(target_labels == label)
                else np.nan
                for label in range(k)
            ]
        )
    return Diagnosis(
        distance,
        0.5 + distance / 4,
        mmd(*features),
        shares,
        float(np.abs(shares - expected).sum() / 2),
        float(probabilities.max(axis=1).mean()),
        recall,
    )
