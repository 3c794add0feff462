"""Distillation: the loss in closed form, and one look of the teacher at each image."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse.data import Domain


def logits(seed, n=6, k=4):
    """Draw logits in double precision."""
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_loss_is_the_weighted_sum_in_numpy():
    student, teacher, labels = logits(0), logits(1), np.array([0, 1, 2, 3, 0, 1])
    got = tl.distillation_loss(
        student, teacher, torch.from_numpy(labels), temperature=3, weight=0.7
    )
    p, log_q = softmax(teacher.numpy() / 3, axis=1), log_softmax(student.numpy() / 3, axis=1)
    soft = (p * (np.log(p) - log_q)).sum(axis=1).mean()
    hard = -log_softmax(student.numpy(), axis=1)[np.arange(6), labels].mean()
    assert_allclose(got, 0.7 * 9 * soft + 0.3 * hard, rtol=1e-12)


def test_usual_strengths_and_the_gradient():
    student, teacher, labels = (
        logits(0).requires_grad_(),
        logits(1),
        torch.tensor([0, 1, 2, 3, 0, 1]),
    )
    usual = tl.distillation_loss(student, teacher, labels)
    given = tl.distillation_loss(student, teacher, labels, temperature=4, weight=0.9)
    assert usual.item() == given.item() and usual.ndim == 0
    assert torch.autograd.gradcheck(
        lambda rows: tl.distillation_loss(rows, teacher, labels, temperature=2, weight=0.4), student
    )


def test_a_student_like_its_teacher_pays_nothing_to_it():
    same, labels = logits(0), torch.zeros(6, dtype=torch.int64)
    assert_allclose(tl.distillation_loss(same, same, labels, weight=1), 0, atol=1e-12)
    assert_allclose(
        tl.distillation_loss(same, logits(1), labels, weight=0), F.cross_entropy(same, labels)
    )


def test_hot_gradient_tends_to_matching_centred_logits():
    """As T grows, T^2 KL has the gradient (z_s - z_t) / k of centred logits, per example."""
    student, teacher = logits(0).requires_grad_(), logits(1)
    labels = torch.zeros(6, dtype=torch.int64)
    tl.distillation_loss(student, teacher, labels, temperature=1e4, weight=1).backward()
    difference = student.detach() - teacher
    limit = (difference - difference.mean(dim=1, keepdim=True)) / 4 / 6  # k = 4, mean over 6
    assert_allclose(student.grad, limit, rtol=1e-2, atol=1e-6)


def pictures(n=40, seed=0):
    """Draw dark and bright images, of 2 classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    inputs = rng.random((n, 32, 32, 1), dtype=np.float32) * 0.5 + 0.5 * labels[:, None, None, None]
    return Domain("grey", inputs.astype(np.float32), labels, ("dark", "bright"))


def test_teacher_sees_each_image_once_and_student_learns_from_it_alone():
    train, teacher = pictures(), tl.TransferModel(tl.backbone("small-cnn", seed=1), 2)
    tl.fit(teacher, train, epochs=30, lr=3e-3)
    kept, seen = copy.deepcopy(teacher.state_dict()), []
    teacher.register_forward_hook(lambda _module, inputs, _outputs: seen.append(len(inputs[0])))
    student = tl.TransferModel(tl.backbone("small-cnn", seed=2), 2)
    wrong = Domain("grey", train.inputs, 1 - train.labels, train.class_names)
    history = tl.distil(student, teacher, wrong, pictures(seed=1), weight=1.0, epochs=30, lr=3e-3)
    assert sum(seen) == len(train)
    assert all(torch.equal(teacher.state_dict()[name], kept[name]) for name in kept)
    assert tl.evaluate(student, pictures(seed=2)).accuracy > 0.9
    assert len(history.validation_accuracy) == 30
    assert_allclose(history.validation_accuracy[-1], 1, atol=0.1)


def test_weight_zero_is_plain_training():
    train, teacher = pictures(), tl.TransferModel(tl.backbone("small-cnn", seed=1), 2)
    taught, plain = (tl.TransferModel(tl.backbone("small-cnn", seed=2), 2) for _ in range(2))
    tl.distil(taught, teacher, train, weight=0.0, steps=4, seed=3)
    tl.fit(plain, train, steps=4, seed=3)
    assert_allclose(tl.predict(taught, train.inputs), tl.predict(plain, train.inputs), atol=1e-5)


def test_the_first_loss_is_the_asked_mixture_on_the_whole_batch():
    train, teacher = pictures(), tl.TransferModel(tl.backbone("small-cnn", seed=1), 2)
    for options in ({}, {"temperature": 1.5, "weight": 0.3}):
        student = tl.TransferModel(tl.backbone("small-cnn", seed=2), 2)
        with torch.no_grad():  # in training mode, as in the first update
            images = torch.from_numpy(train.inputs).permute(0, 3, 1, 2)
            start = copy.deepcopy(student).train()(images)
        told = torch.from_numpy(tl.predict(teacher, train.inputs))
        wanted = tl.distillation_loss(start, told, torch.from_numpy(train.labels), **options)
        history = tl.distil(student, teacher, train, steps=1, batch_size=40, **options)
        assert_allclose(history.loss, [wanted.item()], rtol=1e-4)


def test_misuse_is_refused():
    model = tl.TransferModel(tl.backbone("small-cnn"), 2)
    three = tl.TransferModel(tl.backbone("small-cnn"), 3)
    with pytest.raises(ValueError, match="teacher gives 3 logits, but train has 2 classes"):
        tl.distil(model, three, pictures())
    same, labels = logits(0), torch.zeros(6, dtype=torch.int64)
    for wrong in (
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": np.nan},
        {"weight": 1.2},
        {"weight": -0.1},
    ):
        with pytest.raises(ValueError, match="temperature must be > 0 and weight in"):
            tl.distil(model, model, pictures(), **wrong)
        with pytest.raises(ValueError, match="temperature must be > 0 and weight in"):
            tl.distillation_loss(same, same, labels, **wrong)
