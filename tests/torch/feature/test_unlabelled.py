"""Losses without labels: closed forms, NumPy by the papers' equations, gradients, refusals."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy
from torch.autograd import gradcheck

import tlcourse.torch as tl

LOGITS = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)))


def test_entropy_is_the_mean_of_the_rows_entropies():
    expected = entropy(softmax(LOGITS.numpy(), axis=1), axis=1).mean()
    assert tl.entropy_loss(LOGITS).item() == pytest.approx(expected)
    assert tl.entropy_loss(torch.zeros(3, 5)).item() == pytest.approx(np.log(5))
    assert tl.entropy_loss(900 * torch.eye(4)).item() == 0  # no nan of 0 times log(0)
    assert gradcheck(tl.entropy_loss, LOGITS.clone().requires_grad_())


def test_information_is_mean_entropy_plus_divergence_from_the_prior():
    answers = softmax(LOGITS.numpy(), axis=1)
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    for given, q in ((None, np.full(4, 0.25)), (torch.from_numpy(prior), prior)):
        expected = entropy(answers, axis=1).mean() + entropy(answers.mean(axis=0), q)
        assert tl.information_loss(LOGITS, given).item() == pytest.approx(expected)


def test_information_is_shots_up_to_a_constant():
    answers = softmax(LOGITS.numpy(), axis=1)
    shot = entropy(answers, axis=1).mean() - entropy(answers.mean(axis=0))
    assert tl.information_loss(LOGITS).item() == pytest.approx(shot + np.log(4))


def test_information_is_0_for_sure_answers_as_frequent_as_the_prior_says():
    sure = 100 * torch.eye(3)[[0, 0, 1, 2]]
    assert tl.information_loss(sure, torch.tensor([0.5, 0.25, 0.25])).item() == pytest.approx(0)
    assert tl.information_loss(sure).item() > 0.05  # the frequencies are wrong
    collapsed = 100 * torch.eye(3)[[0, 0, 0, 0]]
    assert tl.information_loss(collapsed).item() == pytest.approx(np.log(3), abs=1e-4)


def test_confusion_follows_the_papers_equations():
    logits, temperature = LOGITS.numpy(), 2.0
    answers = softmax(logits / temperature, axis=1)
    weights = 1 + np.exp(-entropy(answers, axis=1))
    weights *= len(weights) / weights.sum()
    confusion = np.array(
        [[(weights * answers[:, j] * answers[:, m]).sum() for m in range(4)] for j in range(4)]
    )
    confusion /= confusion.sum(axis=1, keepdims=True)
    expected = sum(confusion[j, m] for j in range(4) for m in range(4) if j != m) / 4
    assert tl.confusion_loss(LOGITS, temperature=temperature).item() == pytest.approx(expected)
    assert tl.confusion_loss(LOGITS).item() != pytest.approx(expected)


def test_confusion_is_0_only_where_no_two_classes_meet():
    assert tl.confusion_loss(300 * torch.eye(3)).item() == pytest.approx(0, abs=1e-6)
    two = torch.tensor([[300.0, 300.0, 0.0], [0.0, 0.0, 300.0]])
    assert tl.confusion_loss(two).item() == pytest.approx((0.5 + 0.5) / 3, abs=1e-5)


def test_agreement_uses_sure_answers_only_and_divides_by_all():
    plain = torch.tensor([[5.0, 0.0], [0.0, 9.0], [1.0, 0.0]])
    changed = torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.0, 9.0]])
    per_row = -log_softmax(changed.numpy(), axis=1)
    expected = (per_row[0, 0] + per_row[1, 1]) / 3
    assert tl.agreement_loss(plain, changed).item() == pytest.approx(expected, rel=1e-5)
    assert tl.agreement_loss(plain, changed, threshold=0.999).item() == pytest.approx(
        per_row[1, 1] / 3, rel=1e-5
    )


def test_gradients_are_those_of_the_formulas():
    logits = LOGITS.clone().requires_grad_()
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    assert gradcheck(lambda z: tl.information_loss(z, prior), logits)
    fixed = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert gradcheck(lambda z: tl.agreement_loss(9 * fixed, z, threshold=0.5), logits)


def test_labels_made_of_answers_get_no_gradient():
    plain, changed = (LOGITS.clone().requires_grad_() for _ in range(2))
    tl.agreement_loss(plain, changed, threshold=0).backward()
    assert plain.grad is None and changed.grad.abs().max() > 0


def test_confusions_weights_get_no_gradient():
    """They say how much an example counts; the net must not gain by unlearning to be unsure."""
    logits = LOGITS.clone().requires_grad_()
    tl.confusion_loss(logits).backward()

    def value(z):
        p = torch.softmax(z / 2.5, dim=1)
        w = torch.from_numpy(1 + np.exp(-entropy(softmax(LOGITS.numpy() / 2.5, axis=1), axis=1)))
        c = (p * (w / w.mean())[:, None]).T @ p
        return 1 - (c / c.sum(1, keepdim=True)).diagonal().mean()

    again = LOGITS.clone().requires_grad_()
    value(again).backward()
    torch.testing.assert_close(logits.grad, again.grad)


def test_a_temperature_of_nothing_is_refused():
    with pytest.raises(ValueError, match="temperature is 0"):
        tl.confusion_loss(LOGITS, temperature=0)
