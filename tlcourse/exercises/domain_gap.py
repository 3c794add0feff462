"""Checks of chapter 6's exercises: weights, distances, alignment, information, a step.

Design choices
--------------
- Expected values are worked out here in another form than the usual solution, so that a slip
  shared by both is unlikely.
- No framework is imported here: where a check needs tensors or a net, the page hands them over.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tlcourse.exercises.hints import Hint, array, call, number, recognise

_NOT_FINITE = "is there a division by zero, or the root of a negative number?"


def check_importance_weights(function: Callable[..., Any]) -> None:
    """Check ``importance_weights(probability, n_source, n_target)``.

    Parameters
    ----------
    function : callable
        Maps a classifier's probabilities that source rows come from the target ``(n,)``, and the
        numbers of rows of both domains that it was trained on, to estimates of the density ratio
        target over source ``(n,)``.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    probability = np.array([0.1, 0.2, 0.5, 0.75, 0.9])
    answer = array(call(function, probability, 300, 100), 5)
    odds = np.array([1 / 9, 1 / 4, 1.0, 3.0, 9.0])
    slips = {
        "upside down: a row that looks like the target must weigh more": [
            3 / odds,
            1 / odds,
            1 / (3 * odds),
        ],
        "these are the odds; where the classifier saw more source rows than target rows, the odds "
        "are too small by that ratio": odds,
        "the ratio of the numbers of rows is upside down": odds / 3,
        "a probability is no ratio: divide by the probability of the source": [
            probability,
            3 * probability,
        ],
        "leave the weights as they are; made to sum to one, they are no density ratio": odds
        / odds.sum(),
    }
    recognise(answer, slips)
    if not np.allclose(answer, 3 * odds):
        raise Hint(
            "wanted is p(target|x) / p(source|x), times n_source / n_target: "
            f"{(3 * odds).round(3)} here; you returned {answer.round(3)}."
        )
    print("Right.")


def check_mmd(function: Callable[..., Any]) -> None:
    """Check ``mmd(x, y, width)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)`` and ``(m, d)`` to the squared MMD with a Gaussian kernel, pairs of
        a row with itself included.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(1)
    x, y, width = rng.normal(size=(12, 2)), rng.normal(size=(9, 2)) + 1, 1.5

    def mean_kernel(a, b, scale=2 * width**2, without=0):
        pairs = [np.exp(-((p - q) ** 2).sum() / scale) for p in a for q in b]
        return (sum(pairs) - without) / (len(pairs) - without)

    def squared(scale=2 * width**2, cross=2, own=True):
        within = [mean_kernel(a, a, scale, without=0 if own else len(a)) for a in (x, y)]
        return sum(within) - cross * mean_kernel(x, y, scale)

    answer = number(call(function, x, y, width), _NOT_FINITE)
    slips = {
        "the kernel between the domains counts twice: -2 E k(x, y)": squared(cross=1),
        "the kernel is exp(-|x - y|^2 / (2 width^2))": [
            squared(scale=width**2),
            squared(scale=2 * width),
        ],
        "return the squared MMD; there is no root": np.sqrt(squared()),
        "that is the chapter's estimate, which leaves a row's pair with itself out; here it is "
        "in": squared(own=False),
    }
    recognise(answer, slips)
    if not np.isclose(answer, squared()):
        raise Hint(
            f"the squared MMD of the check's samples is {squared():.4f}; yours is "
            f"{answer:.4f}. Take the mean over all pairs, a point with itself included."
        )
    print("Right.")


def check_coral(function: Callable[..., Any]) -> None:
    """Check ``coral(source, target)``.

    Parameters
    ----------
    function : callable
        Maps features ``(n, d)`` and ``(m, d)`` to source features with the target's mean and
        covariance, by the symmetric roots of the covariances.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rng = np.random.default_rng(2)
    source = rng.normal(size=(300, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0.5]]) + [3, 0, -1]
    target = rng.normal(size=(200, 3)) @ np.array([[1, 0, 1], [0, 3, 0], [0, 0, 1]]) + [0, 1, 2]
    answer = array(call(function, source, target), *source.shape)
    expected = _aligned(source, target)
    if not np.allclose(answer, expected, atol=0.05):
        raise Hint(_coral_hint(answer, expected, source, target))
    source[:, 1] = 4.0
    flat = array(call(function, source, target), *source.shape)
    if not np.isfinite(flat).all():
        raise Hint(
            "right, until a feature never varies: its covariance has the eigenvalue 0, which has "
            "no inverse root. Leave such directions out."
        )
    if not np.allclose(flat, _aligned(source, target), atol=0.05):
        raise Hint(
            "right, until a feature never varies: leave out the directions whose eigenvalue is 0 "
            "(up to rounding), and nothing else."
        )
    print("Right.")


def _aligned(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return CORAL's answer, with the roots from singular values of the centred rows."""
    _, lengths, axes = np.linalg.svd(source - source.mean(axis=0), full_matrices=False)
    spanned = lengths > 1e-9 * lengths[0]
    lengths, axes = lengths[spanned], axes[spanned]
    whiten = axes.T @ np.diag(np.sqrt(len(source) - 1) / lengths) @ axes
    _, lengths, axes = np.linalg.svd(target - target.mean(axis=0), full_matrices=False)
    colour = axes.T @ np.diag(lengths / np.sqrt(len(target) - 1)) @ axes
    return (source - source.mean(axis=0)) @ whiten @ colour + target.mean(axis=0)


def _coral_hint(
    answer: np.ndarray, expected: np.ndarray, source: np.ndarray, target: np.ndarray
) -> str:
    """Say what is wrong with an answer of the right shape."""
    if not np.isfinite(answer).all():
        return "there are numbers that are not finite; is there a root of something negative?"
    moved = answer - answer.mean(axis=0)
    wanted = expected - expected.mean(axis=0)
    covariance, goal = np.cov(answer.T), np.cov(target.T)

    def same(one, other):
        return np.allclose(one, other, atol=0.05)

    if same(answer, source):
        return "the source comes out as it went in."
    if same(moved, wanted):
        return (
            "the shape of the cloud is right, its place is not: subtract the source's mean first, "
            "and add the target's mean at the end."
        )
    if same(moved, -wanted):
        return "each row comes out mirrored: the roots are the positive ones."
    if same(moved[::-1], wanted) or same(np.sort(answer, axis=0), np.sort(expected, axis=0)):
        return "the rows have lost their order; row i of the answer belongs to row i of the source."
    centred = source - source.mean(axis=0)
    explained = centred @ np.linalg.lstsq(centred, moved, rcond=None)[0]
    if np.var(moved - explained) > 0.1 * np.var(moved):
        return (
            "your rows do not come from the source's rows: the right covariance is not enough, "
            "the labels must still belong to them."
        )
    if same(covariance, np.eye(3)):
        return "you whiten the source; now give it the target's covariance: times C_t^(1/2)."
    if np.allclose(covariance, goal, atol=0.1):
        return (
            "the covariance is the target's, but many maps do that: take the symmetric roots, from "
            "eigenvectors, which turn the cloud no further than they must."
        )
    if np.allclose(np.diag(covariance), np.diag(goal), rtol=0.05):
        return "variances agree but covariances do not: scaling columns is not enough."
    return (
        "the covariance of the answer is not the target's. It is C_s^(-1/2) first, then "
        "C_t^(1/2), with matrix roots: not the roots of the entries."
    )


def check_information(function: Callable[..., Any]) -> None:
    """Check ``information(answers, prior)``.

    Parameters
    ----------
    function : callable
        Maps probabilities ``(n, k)`` and the shares of the classes ``(k,)`` to the mean entropy of
        the answers plus the divergence of their mean from the shares.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    answers = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.25, 0.25], [0.6, 0.3, 0.1]])
    prior = np.array([0.2, 0.3, 0.5])
    one_by_one, together, apart = _parts(answers, prior)
    value = number(call(function, answers, prior), _NOT_FINITE)
    uniform = _parts(answers, np.full(3, 1 / 3))
    slips = {
        "the second sum is missing: the answers must be balanced too": one_by_one,
        "the first sum is missing: each answer must be sure": together,
        "the mean of the entropies is wanted, not their sum": 4 * one_by_one + together,
        "the first sum is the mean of the entropies, not the entropy of the mean answer": (
            -(answers.mean(axis=0) * np.log(answers.mean(axis=0))).sum() + together
        ),
        "the divergence is taken the wrong way round: it is the mean answer's logarithm less the "
        "prior's, weighted by the mean answer": one_by_one + apart,
        "the prior is not used: these shares are all alike": one_by_one + uniform[1],
        "mind the signs: both sums are at least 0, and both shall be small": [
            -one_by_one + together,
            one_by_one - together,
            -one_by_one - together,
        ],
    }
    recognise(value, slips)
    if not np.isclose(value, one_by_one + together):
        raise Hint(
            f"the check's answers have {one_by_one:.4f} + {together:.4f}; yours is {value:.4f}."
        )
    sure = np.eye(3)[[0, 1, 1, 2, 2]]
    value = call(function, sure, np.array([0.2, 0.4, 0.4]))
    if not np.isclose(number(value, "0 log 0 counts as 0; leave such terms out."), 0, atol=1e-5):
        raise Hint("right, until an answer is quite sure: 0 log 0 counts as 0.")
    print("Right.")


def _parts(answers: np.ndarray, prior: np.ndarray) -> tuple[float, float, float]:
    """Return the mean entropy, the divergence from the prior, and that of the prior."""
    cross = sum(-a * np.log(b) for a, b in zip(answers.ravel(), answers.ravel(), strict=True))
    mean = answers.mean(axis=0)
    ratio = np.log(mean) - np.log(prior)
    return cross / len(answers), float(mean @ ratio), float(-prior @ ratio)


def check_reverse_gradient(function: Callable[..., Any], features: Any) -> None:
    """Check ``reverse_gradient(features, rho)``.

    Parameters
    ----------
    function : callable
        Returns the features; their gradient comes back times ``-rho``.
    features : torch.Tensor of float, shape (n, d)
        What to try it on.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    for rho in (0.25, 2.0):
        before = features.detach().clone().requires_grad_()
        after = call(function, before, rho, copies=False)
        values = array(after, *features.shape)
        if not np.allclose(values, array(features, *features.shape), rtol=1e-4, atol=1e-5):
            raise Hint(
                "forward, the features pass unchanged; yours are others. Does what you add and "
                "what you take away cancel?"
            )
        if not getattr(after, "requires_grad", False):
            raise Hint("no gradient comes back: all of it was detached.")
        slope = np.arange(1.0, values.size + 1).reshape(values.shape)
        (after * before.new_tensor(slope)).sum().backward()
        came = array(before.grad, *features.shape)
        slips = {
            "the gradient comes back as it went: nothing is reversed": slope,
            "the gradient is turned round, but not scaled by rho": -slope,
            "scaled, but not turned round: mind the sign": rho * slope,
            "too much of the features is left: count how often they stand there undetached": [
                (1 - rho) * slope,
                (1 + rho) * slope,
                -(1 + rho) * slope,
            ],
        }
        if not np.allclose(came, -rho * slope, rtol=1e-4):
            recognise(came, slips, rtol=1e-4)
            raise Hint("the gradient must come back times -rho; yours does not.")
    print("Right.")


def check_adaptation_step(function: Callable[..., Any], make: Callable[[], Any]) -> None:
    """Check ``adaptation_step(model, optimiser, source, labels, target, distance, rho)``.

    Parameters
    ----------
    function : callable
        Makes one update on the mean cross-entropy of the source plus ``rho`` times
        ``distance(source_features, target_features)``.
    make : callable
        Returns a small model with ``backbone`` and ``head``, from 3 inputs to 2 classes, and an
        ``torch.optim.SGD`` on its parameters.

    Raises
    ------
    Hint
        If an answer is wrong.
    """
    rho = 0.7
    model, optimiser, batch = _toy(make)
    start = _parameters(model)
    call(function, model, optimiser, *batch, _gap, rho, copies=False, may_be_none=True)
    answer = _parameters(model)
    if np.allclose(answer, start):
        raise Hint("no parameter has moved; is there a backward pass and a step of the optimiser?")
    expected = _after_step(make, lambda *f: f[2] + rho * _gap(f[0], f[1]))
    if not np.allclose(answer, expected, atol=1e-5):
        slips = {
            "the distance is missing: only the source's loss was made smaller": lambda *f: f[2],
            "rho is missing: the distance counts as much as it did with rho = 1": (
                lambda *f: f[2] + _gap(f[0], f[1])
            ),
            "the distance grows: add rho times the distance to the loss": (
                lambda *f: f[2] - rho * _gap(f[0], f[1])
            ),
            "the target's features are detached: the distance must move them too": (
                lambda *f: f[2] + rho * _gap(f[0], f[1].detach())
            ),
            "the source's features are detached: the distance must move them too": (
                lambda *f: f[2] + rho * _gap(f[0].detach(), f[1])
            ),
            "the distance is between features, not between logits": (
                lambda *f: f[2] + rho * _gap(f[3], f[4])
            ),
        }
        recognise(answer, {hint: _after_step(make, one) for hint, one in slips.items()}, atol=1e-5)
        stale = _after_step(make, lambda *f: f[2] + rho * _gap(f[0], f[1]), fresh=False)
        recognise(answer, {"old gradients are still there: set them to zero": stale}, atol=1e-5)
        raise Hint(
            "the parameters are not where one step on L + rho * distance leads. L is the mean "
            "cross-entropy of the source batch alone."
        )
    print("Right.")


def _gap(source_features: Any, target_features: Any) -> Any:
    """Return the squared distance of the means."""
    return ((source_features.mean(0) - target_features.mean(0)) ** 2).sum()


def _toy(make: Callable[[], Any]) -> tuple[Any, Any, tuple[Any, Any, Any]]:
    """Return a model with known parameters, its optimiser, and a batch; gradients are stale."""
    rng = np.random.default_rng(3)
    model, optimiser = make()
    for parameter in model.parameters():
        parameter.data.copy_(parameter.new_tensor(rng.normal(size=tuple(parameter.shape))))
        parameter.grad = parameter.data.new_ones(tuple(parameter.shape))
    like = next(model.parameters()).data
    source, target = (like.new_tensor(rng.normal(size=(n, 3))) for n in (6, 4))
    return model, optimiser, (source, like.new_tensor([0, 1, 1, 0, 1, 0]).long(), target + 1)


def _parameters(model: Any) -> np.ndarray:
    """Return all parameters in a row."""
    return np.concatenate([p.detach().cpu().numpy().ravel() for p in model.parameters()])


def _after_step(make: Callable[[], Any], objective: Callable[..., Any], fresh: bool = True) -> Any:
    """Make one step on an objective of features, the source's loss, and logits."""
    model, optimiser, (source, labels, target) = _toy(make)
    if fresh:
        optimiser.zero_grad()
    features = model.backbone(source), model.backbone(target)
    logits = model.head(features[0]), model.head(features[1])
    right = logits[0].gather(1, labels[:, None])[:, 0]
    loss = (logits[0].logsumexp(dim=1) - right).mean()
    objective(*features, loss, *logits).backward()
    optimiser.step()
    return _parameters(model)
