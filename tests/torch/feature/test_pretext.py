"""Pretraining without labels: what it learns, what it leaves alone, and what it refuses."""

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

import tlcourse.torch as tl
from tlcourse.data import few_shot_split, load
from tlcourse.torch.feature import pretext
from tlcourse.torch.feature.pretext import pretrain_autoencoder, pretrain_clusters

DIGITS = load("handwritten-digits", n=600)


def blobs(n=300, k=3, seed=0):
    """Draw rows around k far centres; return them and the centre of each."""
    rng = np.random.default_rng(seed)
    which = rng.integers(k, size=n)
    centres = 8 * rng.normal(size=(k, 6))
    return (centres[which] + rng.normal(size=(n, 6))).astype(np.float32), which


class Rows(torch.nn.Module):
    """A tiny backbone for rows."""

    feature_dim = 8

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layer = torch.nn.Linear(6, 8)

    def forward(self, rows):
        return torch.tanh(self.layer(rows))


def test_the_autoencoder_learns_to_restore_and_its_features_beat_random_ones():
    random, trained = tl.backbone("small-cnn"), tl.backbone("small-cnn")
    history = pretrain_autoencoder(
        trained, DIGITS.inputs, steps=120, lr=3e-3, batch_size=32, seed=0
    )
    everything_grey = DIGITS.inputs.var()
    assert history.loss[-1] < everything_grey / 2 < history.loss[0]
    assert not trained.training and history.steps == 120
    gains = []
    for seed in range(3):
        split = few_shot_split(DIGITS, 2, test_per_class=30, seed=seed)
        scores = [
            tl.evaluate(tl.linear_probe(tl.TransferModel(net, 10), split.train), split.test)
            for net in (trained, random)
        ]
        gains.append(scores[0].accuracy - scores[1].accuracy)
    assert np.mean(gains) > 0.02


def test_noise_blackens_the_asked_share_of_what_the_backbone_sees():
    net, seen = tl.backbone("small-cnn"), []
    net.preprocess.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    white = np.ones((64, 32, 32, 1), dtype=np.float32)
    pretrain_autoencoder(net, white, noise=0.4, steps=2, batch_size=32)
    black = torch.cat(seen) == 0
    assert black.float().mean().item() == pytest.approx(0.4, abs=0.01)
    assert torch.cat(seen).unique().tolist() == [0, 1]
    assert not torch.equal(black[:32], black[32:64])
    seen.clear()
    pretrain_autoencoder(net, white, noise=0, steps=1, batch_size=32)
    assert (seen[0] == 1).all()


@pytest.mark.parametrize(
    ("net", "shape"),
    [("small-cnn", (30, 20, 3)), ("small-resnet", (64, 64, 3)), ("small-cnn", (9, 9, 1))],
)
def test_any_size_and_colour_can_be_restored(net, shape):
    inputs = np.random.default_rng(0).random((8, *shape), dtype=np.float32)
    history = pretrain_autoencoder(tl.backbone(net), inputs, steps=1)
    assert 0 < history.loss[0] < 2


def test_the_error_is_measured_against_the_clean_image_in_pixel_values():
    net = pretext._DenoisingAutoencoder(tl.backbone("small-cnn"), (32, 32, 1), 0.9)
    with torch.no_grad():
        net.decoder[-1].weight.zero_()
        net.decoder[-1].bias.fill_(0.25)
    images = torch.rand(3, 1, 32, 32)
    wanted = (images - 0.25).square().mean((1, 2, 3))
    torch.testing.assert_close(net(images)[:, 0], wanted)


def test_clusters_of_clear_groups_are_the_groups():
    rows, which = blobs(seed=2)
    backbone = Rows(2)
    before = backbone.layer.weight.detach().clone()
    history, agreement = pretrain_clusters(backbone, rows, clusters=3, rounds=8, epochs=3, lr=1e-2)
    assert len(agreement) == 7 and min(agreement) > 0.7
    assert history.steps == 8 * 3 * 5 and len(history.loss) == 24
    assert history.loss[-1] < history.loss[0]
    assert not torch.equal(backbone.layer.weight, before)
    found = pretext._cluster(tl.extract_features(backbone, rows), 3, 0)
    assert normalized_mutual_info_score(found, which) > 0.8


def test_clusters_count_the_same_however_large():
    labels = np.array([0] * 90 + [1] * 9 + [3])
    logits = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
    wanted = np.mean([losses[labels == label].mean() for label in (0, 1, 3)])
    got = pretext._balanced(labels)(logits, torch.tensor(labels)).item()
    assert got == pytest.approx(wanted, rel=1e-5)


def test_pretraining_weighs_small_and_large_clusters_the_same():
    rows, which = blobs(n=200, seed=2)
    rows = np.concatenate([rows[which == 0], rows[which == 1][:6], rows[which == 2][:3]])
    model = tl.TransferModel(Rows(), 3, seed=5)
    found = pretext._cluster(tl.extract_features(model, rows), 3, 5)
    assert np.ptp(np.bincount(found)) > 20
    with torch.no_grad():
        logits = model(torch.from_numpy(rows))
    losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(found), reduction="none")
    wanted = np.mean([losses[found == cluster].mean() for cluster in range(3)])
    history, _ = pretrain_clusters(
        Rows(), rows, clusters=3, rounds=1, epochs=1, batch_size=len(rows), seed=5
    )
    assert history.loss == [pytest.approx(wanted, rel=1e-5)]
    assert abs(losses.mean() - wanted) > 1e-3  # else balancing could not be told


def test_the_same_seed_gives_the_same_backbone():
    rows, _ = blobs()
    nets = []
    for seed in (0, 0, 1):
        backbone = Rows()
        pretrain_clusters(backbone, rows, clusters=4, rounds=2, epochs=1, seed=seed)
        nets.append(backbone.layer.weight.detach().numpy())
    np.testing.assert_array_equal(nets[0], nets[1])
    assert not np.array_equal(nets[0], nets[2])


def test_equal_inputs_give_fewer_clusters_and_no_crash():
    rows = np.repeat(np.eye(6, dtype=np.float32)[:2], 20, axis=0)
    history, agreement = pretrain_clusters(Rows(), rows, clusters=5, rounds=2, epochs=1)
    assert np.isfinite(history.loss).all() and agreement == [1.0]


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (
            lambda: pretrain_autoencoder(tl.backbone("small-cnn"), DIGITS),
            TypeError,
            "give domain.inp",
        ),
        (lambda: pretrain_autoencoder(Rows(), DIGITS.inputs), TypeError, "backbone is a Rows"),
        (
            lambda: pretrain_autoencoder(tl.backbone("small-cnn"), DIGITS.inputs, noise=1),
            ValueError,
            "noise is 1",
        ),
        (
            lambda: pretrain_autoencoder(tl.backbone("small-cnn"), np.zeros((3, 4))),
            ValueError,
            "give images",
        ),
        (
            lambda: pretrain_autoencoder(tl.backbone("small-cnn"), DIGITS.inputs * np.nan),
            ValueError,
            "NaN",
        ),
        (
            lambda: pretrain_autoencoder(tl.backbone("small-cnn"), DIGITS.inputs[:0]),
            ValueError,
            "no examples",
        ),
        (lambda: pretrain_clusters(Rows(), blobs()[0], clusters=1), ValueError, "clusters is 1"),
        (lambda: pretrain_clusters(Rows(), blobs()[0][:5], clusters=9), ValueError, "for 5 inputs"),
        (lambda: pretrain_clusters(Rows(), blobs()[0], rounds=0), ValueError, "rounds is 0"),
        (
            lambda: pretrain_clusters(tl.backbone("small-cnn"), DIGITS),
            TypeError,
            "give domain.inputs",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, reason):
    with pytest.raises(error, match=reason):
        make()
