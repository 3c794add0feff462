"""Pretraining without labels: remove noise, or predict one's own clusters.

Design choices
--------------
- Labels cannot be used, because only inputs come in.
- A pretext task is a training like any other: both go through `fit`, the autoencoder with its
  error as the loss, the clustering with its pseudo-labels as labels.
- What is kept is the backbone, changed in place. Decoder and cluster head are thrown away.
"""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import normalize
from torch import nn
from torch.nn import functional as F

from tlcourse.checks import check_counts
from tlcourse.data import Domain, Pictures
from tlcourse.history import History
from tlcourse.torch.devices import seeded
from tlcourse.torch.models import Backbone, TransferModel
from tlcourse.torch.training import extract_features, fit

_PCA_DIMENSIONS = 64
_STARTS: Any = 3  # of k-means
_LEAST_VARIANCE = 1e-6  # share of the whole that a dimension needs to be kept


def pretrain_autoencoder(
    backbone: Backbone,
    inputs: np.ndarray | Pictures,
    *,
    noise: float = 0.3,
    seed: int = 0,
    **fit_options: Any,
) -> History:
    """Teach a backbone to restore images of which random pixels were blackened.

    A small decoder of transposed convolutions makes the image anew from the feature vector alone;
    the loss is the mean squared error against the clean image, in pixel values from 0 to 1.

    Parameters
    ----------
    backbone : Backbone
        Changed in place.
    inputs : ndarray of float32, shape (n, h, w, c)
        Unlabelled images in [0, 1].
    noise : float
        Share of pixels set to 0, from 0 (a plain autoencoder) to below 1.
    seed : int
        Seed of decoder, order and noise.
    **fit_options
        Passed on to `fit`: ``epochs``, ``steps``, ``lr``, ``batch_size``, ``device``, ...

    Returns
    -------
    History
        ``loss`` is the squared error.

    Raises
    ------
    TypeError
        If the backbone is none, or ``inputs`` is a `Domain`.
    ValueError
        If the inputs are no images, or ``noise`` is not in [0, 1).

    References
    ----------
    Vincent, Larochelle, Bengio and Manzagol, Extracting and Composing Robust Features with
    Denoising Autoencoders, ICML 2008; masking noise of section 2.3. There layer by layer, here end
    to end.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> digits = data.load("handwritten-digits", n=64)
    >>> history = tl.pretrain_autoencoder(tl.backbone("small-cnn"), digits.inputs, steps=20)
    >>> history.loss[-1] < history.loss[0]
    True
    """
    if not isinstance(backbone, Backbone):
        raise TypeError(f"backbone is a {type(backbone).__name__}; give a tlcourse Backbone.")
    images = _unlabelled(inputs)
    if not images.is_image:
        raise ValueError(f"inputs have shape {images.inputs.shape}; give images (n, h, w, c).")
    if not 0 <= noise < 1:
        raise ValueError(f"noise is {noise!r}; it must be at least 0 and below 1.")
    with seeded(seed):
        model = _DenoisingAutoencoder(backbone, images.inputs.shape[1:], noise)
    history = fit(model, images, loss=_mean_error, seed=seed, **fit_options)
    backbone.eval()
    return history


def pretrain_clusters(
    backbone: nn.Module,
    inputs: np.ndarray | Pictures,
    *,
    clusters: int = 50,
    rounds: int = 5,
    epochs: int = 2,
    batch_size: int = 64,
    seed: int = 0,
    device: str = "auto",
    **fit_options: Any,
) -> tuple[History, list[float]]:
    """Teach a backbone to predict the cluster that its own features put each input into.

    Each round computes the features, clusters them by k-means after PCA, whitening and scaling to
    length 1, and trains the backbone with a fresh head on the clusters as labels. Large and small
    clusters count the same, without which a net can put all into one.

    Give ``augment``: what it changes is what the clusters learn to ignore. Without it, features of
    small nets come out hardly better than random ones; with small turns and shifts they can beat
    features that were learned from labels of another domain.

    Parameters
    ----------
    backbone : torch.nn.Module
        With ``feature_dim``; changed in place.
    inputs : ndarray of float32, shape (n, h, w, c) or (n, d)
        Unlabelled inputs.
    clusters : int
        Number of clusters; several times the number of classes one hopes for works best.
    rounds : int
        How often to cluster anew.
    epochs, batch_size : int
        Of the training in each round.
    seed : int
        Seed of clustering, heads and order.
    device : str
        See `choose_device`.
    **fit_options
        Passed on to `fit`: ``lr``, ``augment``, ``progress``, ...

    Returns
    -------
    history : History
        Over all rounds; ``loss`` is the cross-entropy against the pseudo-labels.
    agreement : list of float
        Normalised mutual information of each round's clusters with those of the round before,
        from 0 to 1: it rises as the clusters settle. One entry fewer than rounds.

    Raises
    ------
    TypeError
        If ``inputs`` is a `Domain`.
    ValueError
        If there are fewer inputs than clusters, or a number is out of range.

    References
    ----------
    Caron, Bojanowski, Joulin and Douze, Deep Clustering for Unsupervised Learning of Visual
    Features, ECCV 2018; here with mini-batch k-means and without Sobel filters.

    Examples
    --------
    >>> from tlcourse import data
    >>> import tlcourse.torch as tl
    >>> digits, net = data.load("handwritten-digits", n=64), tl.backbone("small-cnn")
    >>> options = {"clusters": 8, "rounds": 2, "epochs": 1}
    >>> history, agreement = tl.pretrain_clusters(net, digits.inputs, **options)
    >>> history.steps, len(agreement)
    (2, 1)
    """
    check_counts(clusters=clusters, rounds=rounds, epochs=epochs)
    if clusters < 2 or len(inputs) < clusters:
        raise ValueError(
            f"clusters is {clusters} for {len(inputs)} inputs; give from 2 to {len(inputs)}."
        )
    whole, agreement, before = History(), [], None
    _unlabelled(inputs)  # refuse bad inputs early
    for round_seed in range(seed, seed + rounds):
        pseudo = _cluster(extract_features(backbone, inputs, device=device), clusters, round_seed)
        if before is not None:
            agreement.append(float(normalized_mutual_info_score(before, pseudo)))
        before = pseudo
        model = TransferModel(backbone, clusters, seed=round_seed)
        part = fit(
            model,
            _unlabelled(inputs, pseudo, clusters),
            epochs=epochs,
            batch_size=batch_size,
            seed=round_seed,
            device=device,
            loss=_balanced(pseudo),
            **fit_options,
        )
        whole.loss.extend(part.loss)
        whole.steps += part.steps
        whole.seconds += part.seconds
    whole.trained_parameters, whole.device = part.trained_parameters, part.device
    return whole, agreement


class _DenoisingAutoencoder(nn.Module):
    """From images to the squared error of their reconstruction, one number each."""

    def __init__(self, backbone, shape, noise):
        super().__init__()
        self.backbone, self.noise = backbone, noise
        height, width, channels = shape
        self.start = (64, -(-height // 8), -(-width // 8))
        layers = [
            nn.Linear(backbone.feature_dim, int(np.prod(self.start))),
            nn.Unflatten(1, self.start),
        ]
        for inside, outside in ((64, 32), (32, 16), (16, 16)):  # each doubles height and width
            layers += [
                nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            ]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(16, channels, 3, padding=1))

    def forward(self, images):
        """Blacken pixels, restore, and compare: ``(n, c, h, w)`` to ``(n, 1)``."""
        kept = torch.rand_like(images[:, :1]) >= self.noise
        restored = self.decoder(self.backbone(images * kept))
        restored = restored[:, :, : images.shape[2], : images.shape[3]]
        return F.mse_loss(restored, images, reduction="none").flatten(1).mean(1, keepdim=True)


def _mean_error(errors, _labels):
    """Average what the autoencoder returns."""
    return errors.mean()


def _balanced(labels):
    """Make a cross-entropy in which each class that occurs has the same total weight."""
    counts = np.bincount(labels)
    shares = len(labels) / np.maximum(counts, 1) / np.count_nonzero(counts)
    weights = torch.tensor(shares, dtype=torch.float32)

    def loss(logits, labels):
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (losses * weights.to(losses)[labels]).mean()

    return loss


def _cluster(features, clusters, seed):
    """Return the cluster of each row, from 0 without gaps; int64, (n,)."""
    pca = PCA(min(_PCA_DIMENSIONS, *features.shape), whiten=True, random_state=seed).fit(features)
    real = pca.explained_variance_ratio_ > _LEAST_VARIANCE  # whitening would blow up rounding
    rows = normalize(pca.transform(features)[:, real])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal rows make fewer clusters
        found = MiniBatchKMeans(clusters, n_init=_STARTS, random_state=seed).fit_predict(rows)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _unlabelled(inputs, labels=None, classes=1):
    """Wrap inputs as the domain that `fit` takes, with labels that say nothing or pseudo-labels."""
    if isinstance(inputs, Domain):
        raise TypeError("inputs is a Domain; give domain.inputs: pretraining uses no labels.")
    labels = np.zeros(len(inputs), dtype=np.int64) if labels is None else labels
    names = [str(label) for label in range(classes)]  # of which some may be empty
    return Domain("unlabelled", inputs, labels, names)
