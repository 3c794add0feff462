"""The two doors keep the same promises: every core verb through both."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlcourse.keras
import tlcourse.torch
from tlcourse import data, weights

DIGITS = data.load("handwritten-digits")
SPLIT = data.few_shot_split(DIGITS, 5, seed=0)
NAMES = {  # layers have the frameworks' own names
    "torch": {"first": "backbone.body.block1", "norms": "*.norm"},
    "keras": {"first": "backbone.block1_*", "norms": "*_norm"},
}


@pytest.fixture(params=["torch", "keras"])
def tl(request):
    return getattr(tlcourse, request.param)


def door(tl):
    return tl.__name__.rpartition(".")[2]


def model(tl, weights="letters", seed=0):
    return tl.TransferModel(tl.backbone("small-cnn", weights=weights, seed=seed), 10, seed=seed)


def state(net):
    """All numbers of a model, statistics included, by name."""
    if hasattr(net, "state_dict"):
        return {
            k: v.cpu().numpy().copy()
            for k, v in net.state_dict().items()
            if not k.endswith("num_batches_tracked")
        }
    return {v.path: v.numpy().copy() for v in net.variables}


def moved(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_both_doors_compute_the_same_features_and_logits():
    features, logits = [], []
    for tl in (tlcourse.torch, tlcourse.keras):
        source = tl.source_model("letters")
        features.append(tl.extract_features(source, DIGITS.inputs[:60]))
        logits.append(tl.predict(source, DIGITS.inputs[:60]))
    assert features[0].shape == (60, 128) and logits[0].shape == (60, 26)
    np.testing.assert_allclose(*features, atol=1e-4)
    np.testing.assert_allclose(*logits, atol=1e-3)


def test_pictures_of_other_sizes_and_colours_are_preprocessed_alike():
    colour = np.random.default_rng(0).random((5, 50, 40, 3), dtype=np.float32)
    found = [
        tl.extract_features(tl.backbone("small-cnn", weights="letters"), colour)
        for tl in (tlcourse.torch, tlcourse.keras)
    ]
    np.testing.assert_allclose(*found, atol=2e-3)


def test_the_source_model_reads_letters(tl):
    letters = data.load("rendered-letters", n=520, seed=99)
    card = weights.card("letters")
    assert tl.evaluate(tl.source_model("letters"), letters).accuracy > card["accuracy"] - 0.03


def test_linear_probe_is_scikit_learns_logistic_regression(tl):
    net = model(tl)
    tl.linear_probe(net, SPLIT.train)
    features = tl.extract_features(net, SPLIT.train.inputs)
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    reference.fit(features, SPLIT.train.labels)
    wanted = reference.decision_function(tl.extract_features(net, SPLIT.test.inputs))
    np.testing.assert_allclose(tl.predict(net, SPLIT.test.inputs), wanted, atol=5e-3)


@pytest.mark.parametrize("method", ["full", "head", "last", "gradual", "lp-ft"])
def test_every_method_learns_and_trains_what_it_says(tl, method):
    net = model(tl)
    before = state(net)
    history = tl.fine_tune(
        net,
        SPLIT.train,
        SPLIT.validation,
        method=method,
        steps=60,
        lr=3e-3,
        **({"last": 2} if method == "last" else {}),
    )
    accuracy = tl.evaluate(net, SPLIT.test).accuracy
    least = {"head": 0.7, "last": 0.85}.get(method, 0.88)
    assert accuracy > least, f"{method}: {accuracy}"
    assert history.steps == 60 and history.seconds > 0
    assert len(history.loss) == len(history.validation_loss) == len(history.validation_accuracy)
    assert history.loss[-1] < history.loss[0] or method == "lp-ft"
    counts = {
        "full": 98_682,
        "gradual": 98_682,
        "lp-ft": 98_682,
        "head": 1_290,
        "last": 1_290 + 9 * 64 * 128 + 2 * 128,
    }
    assert history.trained_parameters == counts[method]
    untouched = set(before) - moved(before, state(net))
    if method == "head":
        assert len(untouched) == len(before) - 2
    elif method == "last":
        assert any("block3" in name for name in untouched)
        assert not any("block4" in name and "var" in name for name in untouched)
    else:
        assert not untouched


def test_frozen_layers_do_not_move_by_a_bit_statistics_included(tl):
    net = model(tl)
    tl.freeze(net, NAMES[door(tl)]["first"])
    before = state(net)
    tl.fit(net, SPLIT.train, steps=8, lr=1e-2)
    still = set(before) - moved(before, state(net))
    assert {name for name in before if "block1" in name} == still


def test_frozen_norms_keep_their_statistics_while_the_rest_learns(tl):
    net = tl.freeze(model(tl), NAMES[door(tl)]["norms"])
    before = state(net)
    tl.fit(net, SPLIT.train, steps=5)
    changed = moved(before, state(net))
    assert not any("norm" in name for name in changed) and any("conv" in name for name in changed)
    tl.unfreeze(net, "*")
    tl.fit(net, SPLIT.train, steps=5)
    assert any("norm" in name for name in moved(before, state(net)))


def test_a_part_of_what_is_frozen_can_be_let_go(tl):
    net = tl.freeze(model(tl), "backbone")
    assert tl.count_parameters(net, trainable=True) == 1_290
    tl.unfreeze(net, NAMES[door(tl)]["first"])
    assert tl.count_parameters(net, trainable=True) == 1_290 + 9 * 16 + 2 * 16
    before = state(net)
    tl.fit(net, SPLIT.train, steps=5, lr=1e-2)
    assert any("block1" in name for name in moved(before, state(net)))


def test_rates_by_layer_reach_their_layers(tl):
    net = model(tl)
    rates = tl.layer_rates(net, 1e-2, decay=10)
    assert sorted(set(rates.values())) == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    before = state(net)
    tl.fit(net, SPLIT.train, steps=10, lr=rates, weight_decay=1e-9)
    after = state(net)

    def change(part):
        names = [n for n in before if part in n and before[n].ndim > 1]
        return max(float(np.abs(after[n] - before[n]).max()) for n in names)

    assert change("head") > 5 * change("block4") > 25 * change("block2")
    assert len(tl.layer_names(net)) == 5


def test_l2sp_holds_the_model_at_its_start(tl):
    distances = []
    for alpha in (0.0, 10.0):
        net = model(tl)
        before = state(net)
        tl.fit(net, SPLIT.train, steps=15, lr=3e-3, penalty=tl.L2SP(net, alpha, 0.01))
        after = state(net)
        kernels = [name for name in before if "conv" in name]
        distances.append(sum(float(np.square(after[n] - before[n]).sum()) for n in kernels))
    assert distances[1] < distances[0] / 3


def test_the_same_seed_gives_the_same_start_and_training_and_another_does_not(tl):
    runs = []
    for seed in (1, 1, 2):
        net = model(tl, weights=None, seed=seed)
        tl.fit(net, SPLIT.train, steps=5, seed=seed)
        runs.append(tl.predict(net, SPLIT.test.inputs[:20]))
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-5)
    assert np.abs(runs[0] - runs[2]).max() > 1e-2


def test_early_stopping_restores_the_best_weights(tl):
    net = model(tl)
    history = tl.fit(net, SPLIT.train, SPLIT.validation, epochs=30, lr=3e-2, patience=2)
    assert history.best_epoch == int(np.argmin(history.validation_loss))
    assert len(history.loss) <= history.best_epoch + 3
    assert tl.evaluate(net, SPLIT.validation).log_loss == pytest.approx(
        min(history.validation_loss), abs=1e-4
    )


def test_copying_by_name_reports_what_was_left_and_why(tl):
    start, end = tl.source_model("letters"), model(tl, weights=None, seed=3)
    report = tl.copy_parameters(start, end)
    assert any("block1" in name for name in report.copied)
    assert all("head" in name and "26" in why for name, why in report.skipped.items())
    np.testing.assert_allclose(
        tl.extract_features(start, DIGITS.inputs[:5]),
        tl.extract_features(end, DIGITS.inputs[:5]),
        atol=1e-5,
    )


def test_first_layers_copied_and_the_rest_fresh(tl):
    source = model(tl)
    half = tl.copy_first(source, 2, seed=5)
    same = set(state(half)) - moved(state(half), state(source))
    kernels = {name for name in state(half) if "conv" in name}
    assert kernels & same == {n for n in kernels if "block1" in n or "block2" in n}
    fresh = tl.fresh_copy(source, seed=5)
    assert not kernels - moved(state(fresh), state(source))


def test_a_cut_net_is_a_shallower_backbone(tl):
    layer = {"torch": "backbone.body.block2", "keras": "block2_pool"}[door(tl)]
    shallow = tl.TransferModel(tl.cut(model(tl), layer), 10)
    tl.linear_probe(shallow, SPLIT.train)
    assert tl.extract_features(shallow, SPLIT.test.inputs[:3]).shape == (3, 32)
    assert tl.evaluate(shallow, SPLIT.test).accuracy > 0.5


def test_a_student_learns_from_its_teacher(tl):
    teacher = tl.linear_probe(model(tl), SPLIT.train)
    student = model(tl, weights=None)
    tl.distil(student, teacher, SPLIT.train, steps=60, lr=3e-3)
    assert tl.evaluate(student, SPLIT.test).accuracy > 0.8


def test_divergence_is_an_error(tl):
    with pytest.raises(tl.DivergedError, match="lower lr"):
        tl.fit(model(tl), SPLIT.train, steps=20, lr=1e30)


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda tl, net: tl.freeze(net, "nothing"), ValueError, "'nothing' matches none of the"),
        (lambda tl, net: tl.freeze(net), ValueError, "no pattern is given"),
        (lambda tl, net: tl.freeze(3, "head"), TypeError, "model is a int"),
        (lambda tl, net: tl.fit(net, 3), TypeError, "train is a int"),
        (lambda tl, net: tl.fit(3, SPLIT.train), TypeError, "model is a int"),
        (lambda tl, net: tl.fit(net, SPLIT.train.subset([])), ValueError, "train has no examples"),
        (lambda tl, net: tl.fit(net, SPLIT.train, epochs=0), ValueError, "epochs is 0"),
        (lambda tl, net: tl.fit(net, SPLIT.train, lr=0), ValueError, "rates must be > 0"),
        (lambda tl, net: tl.fit(net, SPLIT.train, lr={"head*": 1e-3}), ValueError, "has no rate"),
        (lambda tl, net: tl.fit(net, SPLIT.train, lr={"x": 1e-3}), ValueError, "'x' matches none"),
        (lambda tl, net: tl.fit(net, SPLIT.train, patience=2), ValueError, "no validation set"),
        (lambda tl, net: tl.fit(tl.freeze(net, "*"), SPLIT.train), ValueError, "all are frozen"),
        (lambda tl, net: tl.fine_tune(net, SPLIT.train, method="x"), ValueError, "method is 'x'"),
        (lambda tl, net: tl.fine_tune(net, SPLIT.train, method="last"), ValueError, "last is None"),
        (lambda tl, net: tl.fine_tune(net, SPLIT.train, method="last", last=9), ValueError, "is 9"),
        (lambda tl, net: tl.linear_probe(net, data.load("wine")), ValueError, "10 outputs"),
        (lambda tl, net: tl.linear_probe(net, SPLIT.train, c=0), ValueError, "c is 0"),
        (
            lambda tl, net: tl.linear_probe(net, SPLIT.train.subset(SPLIT.train.labels > 0)),
            ValueError,
            "no example of class '0'",
        ),
        (lambda tl, net: tl.predict(net, np.zeros((0, 32, 32, 1))), ValueError, "at least one"),
        (lambda tl, net: tl.predict(net, np.zeros((2, 32, 32))), ValueError, "inputs have shape"),
        (lambda tl, net: tl.backbone("small-cnm"), ValueError, "name is 'small-cnm'"),
        (lambda tl, net: tl.backbone("small-cnn", weights="signs"), ValueError, "signs"),
        (lambda tl, net: tl.backbone("small-cnn", weights="imagenet"), ValueError, "'letters'"),
        (lambda tl, net: tl.backbone("small-cnn", weights="no.file"), FileNotFoundError, "no file"),
        (lambda tl, net: tl.TransferModel(3, 10), TypeError, "backbone is a int"),
        (lambda tl, net: tl.TransferModel(net.backbone, 1), ValueError, "n_classes is 1"),
        (lambda tl, net: tl.copy_first(net, 9), ValueError, "k is 9"),
        (lambda tl, net: tl.cut(net, "nowhere"), ValueError, "'nowhere'"),
        (lambda tl, net: tl.layer_rates(net, 0), ValueError, "top is 0"),
        (lambda tl, net: tl.L2SP(net, -1), ValueError, "alpha is -1"),
    ],
)
def test_bad_arguments_get_the_same_answer(tl, call, error, reason):
    with pytest.raises(error, match=reason):
        call(tl, model(tl))
