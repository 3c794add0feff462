"""Every public function answers bad input with an error that names parameter, value and fix.

The Keras door is covered by the same cases in test_contract.py.
"""

import importlib

import numpy as np
import pytest
import torch

import tlcourse.torch as tl
from tlcourse import align, data, evaluation, exercises, figures, scores, study, weights
from tlcourse.data import Domain

NAN_ROWS = np.full((6, 3), np.nan)
ROWS, LABELS = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3
DIGITS = data.load("handwritten-digits", n=60)
ONE_CLASS = DIGITS.subset(DIGITS.labels == 3)
EMPTY = DIGITS.subset([])


def net(n_classes=10):
    return tl.TransferModel(tl.backbone("small-cnn"), n_classes)


CASES = [
    ("data.Domain", lambda: Domain("x", np.full((2, 4, 4, 1), np.nan), [0, 1], "ab"), "NaN"),
    ("data.Domain", lambda: Domain("x", np.zeros((2, 3)), np.array([0, 5]), "ab"), "0 to 1"),
    ("data.few_shot_split", lambda: data.few_shot_split(DIGITS, 9, seed=0), "Lower one"),
    ("data.few_shot_split", lambda: data.few_shot_split(EMPTY, 1, seed=0), "has 0 examples"),
    ("data.load", lambda: data.load("mnistt"), "name is 'mnistt'; the domains are"),
    ("data.load_download", lambda: data.load_download("x"), "'x'"),
    ("data.fetch_download", lambda: data.fetch_download("x"), "'x'"),
    ("data.load_image_folder", lambda: data.load_image_folder("nowhere"), "does not exist"),
    ("data.Pictures", lambda: data.Pictures(["nowhere.png"], 16), "1 of 1 pictures cannot be used"),
    ("data.read_picture", lambda: data.read_picture("nowhere.png", 16), "No such file"),
    ("data.write_image_folder", lambda: data.write_image_folder(EMPTY, "x", seed=0), "no example"),
    ("data.resize_images", lambda: data.resize_images(np.zeros((2, 3)), 8), "2, 3|shape|unpack"),
    ("data.imbalanced", lambda: data.imbalanced(DIGITS, 0.5, seed=0), "ratio is 0.5"),
    ("data.corrupt_labels", lambda: data.corrupt_labels(DIGITS, 2, seed=0), "rate is 2"),
    ("data.mix_domains", lambda: data.mix_domains([], 5, seed=0), "domains"),
    ("data.drifting", lambda: data.drifting(DIGITS, 0, lambda x, t: x, seed=0), "parts is 0"),
    ("data.frame_digits", lambda: data.frame_digits(np.zeros((2, 3))), "give grey pictures"),
    ("torch.adapt_source_free", lambda: tl.adapt_source_free(net(), DIGITS), "target.inputs"),
    ("torch.tent", lambda: tl.tent(net(), EMPTY.inputs), "at least 2 rows"),
    ("torch.tent", lambda: tl.tent(torch.nn.Linear(3, 2), ROWS), "0 BatchNorm layers"),
    ("torch.tent", lambda: tl.tent(net(), DIGITS.inputs, lr=0), "lr is 0"),
    ("torch.tent", lambda: tl.tent(net(), DIGITS.inputs, batch_size=1), "batch_size is 1"),
    (
        "torch.confusion_loss",
        lambda: tl.confusion_loss(torch.zeros(2, 3), temperature=0),
        "temperature is 0",
    ),
    ("torch.strokes_augmentation", lambda: tl.strokes_augmentation(shear=-1), "shear is -1"),
    (
        "evaluation.evaluate_logits",
        lambda: evaluation.evaluate_logits(NAN_ROWS, LABELS[:6], "abc"),
        "NaN; the model diverged",
    ),
    ("align.CORAL", lambda: align.CORAL().fit(NAN_ROWS, target=ROWS), "NaN"),
    ("align.CORAL", lambda: align.CORAL(-1).fit(ROWS, target=ROWS), "reg"),
    ("align.TCA", lambda: align.TCA(mu=-1).fit(ROWS, target=ROWS), "mu"),
    (
        "align.classify_aligned",
        lambda: align.classify_aligned(align.CORAL(), ROWS, np.zeros(3), ROWS[:, :2]),
        "features",
    ),
    ("align.SubspaceAlignment", lambda: align.SubspaceAlignment(0).fit(ROWS, target=ROWS), "0"),
    ("scores.coral_distance", lambda: scores.coral_distance(ROWS, ROWS[:, :2]), "3 features"),
    ("scores.certainty", lambda: scores.certainty(NAN_ROWS), "NaN"),
    ("scores.infomax", lambda: scores.infomax(ROWS, prior=[1, 0, 1]), "3 numbers above 0"),
    ("scores.infomax", lambda: scores.infomax(ROWS, prior=[1, 1]), "one for each class"),
    ("scores.agreement", lambda: scores.agreement(ROWS, ROWS[:5]), "same examples, in order"),
    ("scores.source_validation", lambda: scores.source_validation(ROWS, [1]), "one each"),
    (
        "scores.source_validation",
        lambda: scores.source_validation(ROWS, LABELS, weights=np.zeros(12)),
        "not all of them 0",
    ),
    (
        "scores.source_validation",
        lambda: scores.source_validation(ROWS, LABELS, weights=-np.ones(12)),
        "at least 0",
    ),
    (
        "scores.importance_weights",
        lambda: scores.importance_weights(ROWS[:2], ROWS, seed=0),
        "x has shape",
    ),
    ("scores.h_score", lambda: scores.h_score(NAN_ROWS, LABELS[:6]), "NaN"),
    ("scores.logme", lambda: scores.logme(ROWS, np.zeros(12, int)), "class"),
    ("scores.leep", lambda: scores.leep(ROWS, LABELS), "source_probabilities"),
    ("scores.nce", lambda: scores.nce(LABELS[:3], LABELS), "labels"),
    ("scores.linear_cka", lambda: scores.linear_cka(ROWS, ROWS[:5]), "rows"),
    ("scores.mmd", lambda: scores.mmd(ROWS[:0], ROWS), "x has shape"),
    ("scores.mmd", lambda: scores.mmd(ROWS, ROWS, bandwidth=-1), "bandwidth"),
    ("scores.median_bandwidth", lambda: scores.median_bandwidth(NAN_ROWS, ROWS), "NaN"),
    ("scores.proxy_a_distance", lambda: scores.proxy_a_distance(ROWS[:2], ROWS, seed=0), "x has"),
    ("scores.rank_sources", lambda: scores.rank_sources({}), "scores"),
    ("scores.Ranking", lambda: scores.rank_sources({"a": 1.0, "b": 2.0}, {"c": 1.0}), "measured"),
    ("study.study", lambda: study.study({}, DIGITS, [1], [0]), "at least one name"),
    ("study.transfer_gain", lambda: study.transfer_gain(3, "a", "b"), "table is a int"),
    ("study.hurts", lambda: study.hurts(3, "a", "b"), "table is a int"),
    ("study.crossover", lambda: study.crossover(3, "a", "b"), "table is a int"),
    ("study.summary", lambda: study.summary(3), "table is a int"),
    ("study.finished", lambda: study.finished(3, 3), "table is a int"),
    ("study.raw_pixels", lambda: study.raw_pixels(EMPTY), "no example of class"),
    ("study.require_columns", lambda: study.require_columns(3, "a"), "table is a int"),
    ("figures.plot_learning_curves", lambda: figures.plot_learning_curves(3), "table is a int"),
    ("figures.plot_gain", lambda: figures.plot_gain(3), "table is a int"),
    ("figures.plot_cost", lambda: figures.plot_cost(3, 1), "table is a int"),
    ("figures.plot_images", lambda: figures.plot_images(EMPTY), "at least one image"),
    ("figures.plot_confusion", lambda: figures.plot_confusion(3), "evaluation is a int"),
    ("weights.card", lambda: weights.card("digits"), "name is 'digits'; the course's weights"),
    ("weights.load_arrays", lambda: weights.load_arrays("digits"), "name is 'digits'"),
    ("exercises.release", lambda: exercises.release("nowhere", "out"), "holds no notebook"),
    ("exercises.student_version", lambda: exercises.student_version({"cells": []}), "BEGIN"),
    ("torch.backbone", lambda: tl.backbone("resnet19"), "name is 'resnet19'"),
    ("torch.Backbone", lambda: tl.backbone("small-cnn")(torch.zeros(2, 5, 8, 8)), "1 or 3"),
    ("torch.TransferModel", lambda: net(1), "n_classes is 1"),
    ("torch.source_model", lambda: tl.source_model("x"), "name is 'x'"),
    ("torch.choose_device", lambda: tl.choose_device("abacus"), "device is 'abacus'"),
    ("torch.fit", lambda: tl.fit(net(), EMPTY), "train has no examples"),
    ("torch.fit", lambda: tl.fit(net(), DIGITS, lr={"nope.*": 1.0}), "'nope.\\*' matches none"),
    ("torch.evaluate", lambda: tl.evaluate(net(4), DIGITS), "10 class names"),
    ("torch.evaluate", lambda: tl.evaluate(net(), EMPTY), "no examples"),
    ("torch.predict", lambda: tl.predict(net(), EMPTY.inputs), "at least one"),
    ("torch.extract_features", lambda: tl.extract_features(net(), np.zeros((2, 3, 3))), "shape"),
    ("torch.cached_features", lambda: tl.cached_features(net(), EMPTY), "is empty"),
    ("torch.layer_features", lambda: tl.layer_features(net(), DIGITS.inputs, ["x"]), "has 'x'"),
    ("torch.freeze", lambda: tl.freeze(net(), "x"), "'x' matches none of the"),
    ("torch.unfreeze", lambda: tl.unfreeze(net()), "no pattern is given"),
    ("torch.unfreeze_last", lambda: tl.unfreeze_last(net(), 0), "k is 0"),
    ("torch.fine_tune", lambda: tl.fine_tune(net(), DIGITS, method="x"), "method is 'x'"),
    ("torch.linear_probe", lambda: tl.linear_probe(net(), ONE_CLASS), "no example of class"),
    ("torch.layer_rates", lambda: tl.layer_rates(net(), -1), "top is -1"),
    ("torch.L2SP", lambda: tl.L2SP(net(), -1), "alpha is -1"),
    ("torch.forgetting", lambda: tl.forgetting(net(), net(), 3), "domain is a int"),
    ("torch.interpolate", lambda: tl.interpolate(net(), net(), 2), "alpha is 2"),
    ("torch.copy_parameters", lambda: tl.copy_parameters(torch.nn.Linear(2, 2), net()), "source"),
    ("torch.add_lora", lambda: tl.add_lora(net(), "nothing"), "'nothing'"),
    ("torch.merge_lora", lambda: tl.merge_lora(net()), "LoRA|lora"),
    ("torch.LoRA", lambda: tl.add_lora(net(), "*conv", rank=0), "rank is 0"),
    ("torch.fresh_copy", lambda: tl.fresh_copy(3), "model is a int"),
    ("torch.copy_first", lambda: tl.copy_first(net(), 9), "k is 9"),
    ("torch.cut", lambda: tl.cut(net(), "x"), "'x'"),
    ("torch.widen", lambda: tl.widen(net(), "x", 64), "'x'"),
    ("torch.deepen", lambda: tl.deepen(net(), "x"), "'x'"),
    ("torch.prune_mask", lambda: tl.prune_mask(net(), 1.5), "sparsity is 1.5"),
    ("torch.prune", lambda: tl.prune(net(), {"x": np.ones(3, bool)}), "x"),
    ("torch.distil", lambda: tl.distil(net(), net(), EMPTY), "train has no examples"),
    (
        "torch.distillation_loss",
        lambda: tl.distillation_loss(
            torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2).long(), temperature=0
        ),
        "temperature is 0",
    ),
    ("torch.SharedTrunk", lambda: tl.SharedTrunk(tl.backbone("small-cnn"), {}), "task"),
    (
        "torch.fit_jointly",
        lambda: tl.fit_jointly(
            tl.SharedTrunk(tl.backbone("small-cnn"), {"a": 10, "b": 3}), {"a": DIGITS}, steps=1
        ),
        "b",
    ),
    ("torch.adapt", lambda: tl.adapt(net(), DIGITS, EMPTY.inputs, method="dan"), "at least 2"),
    ("torch.adapt_batchnorm", lambda: tl.adapt_batchnorm(net(), EMPTY.inputs), "at least 2 rows"),
    (
        "torch.diagnose",
        lambda: tl.diagnose(net(), DIGITS, DIGITS.inputs, target_labels=[1]),
        "target_labels have shape",
    ),
    ("torch.knn_probe", lambda: tl.knn_probe(ONE_CLASS), "no example of class"),
    ("torch.prototype_probe", lambda: tl.prototype_probe(ONE_CLASS), "no example of class"),
    ("torch.class_balanced_loss", lambda: tl.class_balanced_loss([3, 0]), "counts are"),
    ("torch.logit_adjusted_loss", lambda: tl.logit_adjusted_loss([3]), "at least 2 classes"),
    ("torch.adjust_logits", lambda: tl.adjust_logits(np.zeros((2, 3)), [1, 2]), "logits have"),
    ("torch.SmallLoss", lambda: tl.SmallLoss(1.5), "trim is 1.5"),
    (
        "torch.pretrain_autoencoder",
        lambda: tl.pretrain_autoencoder(tl.backbone("small-cnn"), DIGITS),
        "inputs is a Domain",
    ),
    (
        "torch.pretrain_clusters",
        lambda: tl.pretrain_clusters(tl.backbone("small-cnn"), EMPTY.inputs),
        "for 0 inputs",
    ),
    ("torch.follow_stream", lambda: tl.follow_stream(net(), []), "stream is empty"),
    ("torch.recalibrate", lambda: tl.recalibrate(net(), EMPTY), "at least 2 rows"),
    ("torch.Replay", lambda: tl.Replay(-1), "size is -1"),
]
CHECKED_ELSEWHERE = {  # in their own tests
    "torch.agreement_loss",
    "torch.coral_loss",
    "torch.entropy_loss",
    "torch.information_loss",
    "torch.mk_mmd_loss",
    "torch.reverse_gradient",
    "torch.dann_strength",
    "torch.count_parameters",
    "torch.layers",
    "torch.layer_names",
    "weights.find",
}
TAKES_NOTHING = {"data.names", "data.cache_dir", "weights.names", "figures.book_style"}
RECORDS = {  # made by the library, not by its users
    "data.ImageFolder",
    "data.Split",
    "evaluation.Evaluation",
    "study.Fitted",
    "study.View",
    "torch.History",
    "torch.AdaptationHistory",
    "torch.CopyReport",
    "torch.Diagnosis",
    "torch.Forgetting",
}


@pytest.mark.parametrize(("name", "call", "reason"), CASES, ids=[case[0] for case in CASES])
def test_bad_input_is_answered(name, call, reason):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=reason) as caught:
        call()
    assert len(str(caught.value)) > 20, "an error says what was given and what is allowed"


def test_every_public_function_has_a_case():
    covered = {case[0] for case in CASES} | CHECKED_ELSEWHERE | TAKES_NOTHING | RECORDS
    modules = (
        "data",
        "evaluation",
        "align",
        "scores",
        "study",
        "figures",
        "weights",
        "exercises",
        "torch",
    )
    for module_name in modules:
        module = importlib.import_module(f"tlcourse.{module_name}")
        own = [
            name
            for name, thing in vars(module).items()
            if callable(thing)
            and not name.startswith("_")
            and getattr(thing, "__module__", "").startswith(f"tlcourse.{module_name}")
        ]
        for name in getattr(module, "__all__", own):
            thing = getattr(module, name)
            is_error = isinstance(thing, type) and issubclass(thing, Exception)
            if callable(thing) and not is_error and not name.startswith("check_"):
                assert f"{module_name}.{name}" in covered, f"no bad input for {module_name}.{name}"
