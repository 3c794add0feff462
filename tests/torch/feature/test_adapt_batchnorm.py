"""AdaBN: statistics against closed forms, layer by layer; what it leaves alone and refuses."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import tlcourse.torch as tl
from tlcourse import data
from tlcourse.batches import usual_batch_size

TARGET = data.load("handwritten-digits", n=400)
ROWS = np.random.default_rng(0).normal(3, 2, size=(7, 2)).astype(np.float32)


def model():
    return tl.TransferModel(tl.backbone("small-cnn"), 10)


def statistics(norm):
    return norm.running_mean.numpy(), norm.running_var.numpy()


def test_each_layer_measures_what_it_sees():
    net = model()
    tl.adapt_batchnorm(net, TARGET.inputs, batch_size=400)
    images = torch.from_numpy(TARGET.inputs).permute(0, 3, 1, 2)
    with torch.no_grad():
        values = net.backbone.body.block1.conv(net.backbone.preprocess(images))
    norm = net.backbone.body.block1.norm
    torch.testing.assert_close(norm.running_mean, values.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, values.var((0, 2, 3)), atol=1e-5, rtol=1e-4)


def test_it_equals_one_batch_in_training_mode_and_moves_no_parameter():
    net = model()
    before = {name: p.clone() for name, p in net.named_parameters()}
    images = torch.from_numpy(TARGET.inputs).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = net.train()(images)
    assert tl.adapt_batchnorm(net, TARGET.inputs, batch_size=400) is net and not net.training
    with torch.no_grad():
        assert_allclose(net(images).numpy(), wanted.numpy(), atol=2e-3)
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())


def test_the_variance_is_unbiased_as_in_batchnorms_own_statistics():
    norm, own = nn.BatchNorm1d(2), nn.BatchNorm1d(2, momentum=1.0)
    tl.adapt_batchnorm(norm, ROWS[:4])
    assert_allclose(statistics(norm), (ROWS[:4].mean(0), ROWS[:4].var(0, ddof=1)), rtol=1e-5)
    own(torch.from_numpy(ROWS[:4]))
    assert_allclose(statistics(norm), statistics(own), rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "batch_size", "batches"),
    [
        (6, 2, [2, 2, 2]),
        (7, 4, [4, 3]),
        (2, 2, [2]),
        (3, 2, [3]),  # the third row is not left alone
        (7, 2, [3, 2, 2]),
        (7, 256, [7]),
    ],
)
def test_batches_weigh_the_same_and_none_has_a_single_row(rows, batch_size, batches):
    norm, seen = nn.BatchNorm1d(2), []
    norm.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    tl.adapt_batchnorm(norm, ROWS[:rows], batch_size=batch_size)
    assert seen == batches
    parts = np.split(ROWS[:rows], np.cumsum(batches)[:-1])
    wanted = [np.mean([part.mean(0) for part in parts], axis=0)]
    wanted.append(np.mean([part.var(0, ddof=1) for part in parts], axis=0))
    assert_allclose(statistics(norm), wanted, rtol=1e-5)


def test_large_pictures_come_in_smaller_batches():
    norm, seen = nn.BatchNorm2d(3), []
    norm.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    pictures = np.broadcast_to(np.float32(0.5), (300, 224, 224, 3))
    tl.adapt_batchnorm(norm, pictures[:40], device="cpu")
    assert seen == [14, 13, 13] and usual_batch_size(224 * 224 * 3) == 16
    seen.clear()
    tl.adapt_batchnorm(norm, pictures[:, :8, :8], device="cpu")
    assert seen == [150, 150]


class Forked(nn.Module):
    """One layer runs twice, one only if asked."""

    def __init__(self):
        super().__init__()
        self.twice, self.spare = nn.BatchNorm1d(2, affine=False), nn.BatchNorm1d(2)
        nn.init.constant_(self.spare.running_var, 5.0)
        self.spare.running_mean.fill_(-1.0)

    def forward(self, rows):
        return self.twice(10 * self.twice(rows))


def test_a_layer_that_no_input_reaches_keeps_its_statistics():
    net = Forked()
    tl.adapt_batchnorm(net, ROWS)
    assert_allclose(statistics(net.spare), [[-1, -1], [5, 5]])


def test_a_layer_that_runs_twice_gets_the_average_of_both():
    net = Forked()
    tl.adapt_batchnorm(net, ROWS)
    mean, variance = ROWS.mean(0), ROWS.var(0, ddof=1)
    second = 100 * variance / (variance + 1e-5)  # of 10 times the normalised rows; their mean is 0
    assert_allclose(statistics(net.twice), [mean / 2, (variance + second) / 2], atol=1e-4)


def test_frozen_layers_are_measured_anew_and_no_hook_is_left():
    norm = nn.BatchNorm1d(2)
    net = tl.freeze(nn.Sequential(norm), "0")
    hooks = len(norm._forward_pre_hooks)
    tl.adapt_batchnorm(net, ROWS)
    assert_allclose(norm.running_mean, ROWS.mean(0), rtol=1e-5)
    with pytest.raises(RuntimeError):  # three columns do not fit
        tl.adapt_batchnorm(net, np.ones((4, 3), dtype=np.float32))
    assert len(norm._forward_pre_hooks) == hooks


def message(layers, rows):
    return (
        f"model has {layers} BatchNorm layers with statistics and inputs have {rows} rows; both "
        "must be there (at least 2 rows)."
    )


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: tl.adapt_batchnorm(nn.Linear(2, 2), ROWS), message(0, 7)),
        (
            lambda: tl.adapt_batchnorm(nn.BatchNorm1d(2, track_running_stats=False), ROWS),
            message(0, 7),
        ),
        (lambda: tl.adapt_batchnorm(nn.BatchNorm1d(2), ROWS[:1]), message(1, 1)),
        (
            lambda: tl.adapt_batchnorm(nn.BatchNorm1d(2), ROWS, batch_size=1),
            "batch_size is 1; it must be an integer >= 2.",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(make, wanted):
    with pytest.raises(ValueError) as raised:
        make()
    assert str(raised.value) == wanted


def test_up_to_256_examples_make_one_batch():
    norm, seen = nn.BatchNorm1d(2), []
    norm.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    tl.adapt_batchnorm(norm, np.tile(ROWS[:2], (128, 1)))
    tl.adapt_batchnorm(norm, np.tile(ROWS[:2], (129, 1)))
    assert seen == [256, 129, 129]
