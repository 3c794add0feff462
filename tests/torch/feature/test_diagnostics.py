"""Diagnostics: equal domains, collapse, recall; all but the recall without labels."""

import numpy as np
import pytest
import torch

import tlcourse.torch as tl
from tlcourse import data

SOURCE = data.load("rendered-digits", n=600)
TARGET = data.load("handwritten-digits", n=400)


def test_equal_domains_cannot_be_told_and_different_ones_can():
    net = tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10)
    half, other = TARGET.subset(np.arange(200)), TARGET.subset(np.arange(200, 400))
    same = tl.diagnose(net, half, other.inputs)
    apart = tl.diagnose(net, SOURCE, TARGET.inputs)
    assert same.domain_accuracy < 0.6 < 0.9 < apart.domain_accuracy
    assert same.mmd < apart.mmd and same.recall is None


def test_collapse_is_noticed_without_labels():
    net = tl.TransferModel(tl.backbone("small-cnn"), 10)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.copy_(torch.eye(10)[3])
    found = tl.diagnose(net, SOURCE, TARGET.inputs)
    assert found.collapsed and found.shares[3] == 1 and found.shift == pytest.approx(0.9, abs=0.01)
    assert "COLLAPSED" in str(found)


def test_recall_is_by_class_and_needs_labels():
    net = tl.linear_probe(tl.TransferModel(tl.backbone("small-cnn", weights="letters"), 10), TARGET)
    found = tl.diagnose(net, SOURCE, TARGET.inputs, target_labels=TARGET.labels)
    np.testing.assert_allclose(found.recall, tl.evaluate(net, TARGET).recall)
    assert not found.collapsed
    with pytest.raises(ValueError, match="target_labels have shape"):
        tl.diagnose(net, SOURCE, TARGET.inputs, target_labels=TARGET.labels[:3])
