"""The two doors keep the same promises: every core verb through both."""

import inspect

import keras
import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlcourse.keras
import tlcourse.torch
from tlcourse import data, weights
from tlcourse.data import Domain
from tlcourse.evaluation import evaluate_logits

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


def change(net, name, by):
    """Add a number to all entries of a parameter."""
    if hasattr(net, "state_dict"):
        with torch.no_grad():
            dict(net.named_parameters())[name].add_(by)
    else:
        variable = next(v for v in net.trainable_variables if v.path == name)
        variable.assign_add(keras.ops.full(variable.shape, by))


def number(scalar):
    """A scalar tensor of either framework as a float."""
    return float(scalar.detach()) if isinstance(scalar, torch.Tensor) else float(scalar)


def trained_names(net):
    """Names, as in `state`, of all that is not frozen."""
    if hasattr(net, "state_dict"):
        return {name for name, p in net.named_parameters() if p.requires_grad}
    return {v.path for v in net.trainable_variables}


def run_in_training_mode(net, images):
    """Logits as a training step computes them."""
    if hasattr(net, "state_dict"):
        with torch.no_grad():
            return net.train()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    return net(images, training=True).numpy()


class DroppingBody(torch.nn.Module):
    """A backbone of the PyTorch door that drops half of the pixels."""

    def __init__(self):
        super().__init__()
        self.drop, self.flat, self.feature_dim = torch.nn.Dropout(0.5), torch.nn.Flatten(), 64

    def forward(self, images):
        return self.flat(self.drop(images))


def dropping_model(tl, seed=0):
    """Pixels, half of them dropped, and a linear head: nothing else is random."""
    if door(tl) == "torch":
        return tl.TransferModel(DroppingBody(), 10, seed=seed)
    inputs = keras.Input((8, 8, 1))
    dropped = keras.layers.Dropout(0.5, name="drop")(inputs)
    features = keras.layers.Flatten(name="flat")(dropped)
    return tl.TransferModel(keras.Model(inputs, features, name="backbone"), 10, seed=seed)


def linear_model(tl, seed=0, k=2):
    """A linear layer from 3 features to 2 logits, or as many as asked for."""
    if door(tl) == "torch":
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return torch.nn.Linear(3, k)
    inputs, start = keras.Input((3,)), keras.initializers.GlorotUniform(seed)
    return keras.Model(inputs, keras.layers.Dense(k, kernel_initializer=start)(inputs))


SMALL = DIGITS.subset(np.arange(24)).with_inputs(DIGITS.inputs[:24, ::4, ::4])
ROWS = Domain(
    "rows",
    np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32),
    np.arange(12) % 2,
    ("a", "b"),
)


def moved(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_shared_verbs_take_the_same_arguments_with_the_same_defaults():
    """But for mixed precision, which in Keras is a property of the model."""
    shared = set(tlcourse.torch.__all__) & set(tlcourse.keras.__all__)
    assert len(shared) >= 25 and set(tlcourse.keras.__all__) - shared == {"mlp"}
    for name in shared - {"DivergedError", "History", "CopyReport"}:
        told = []
        for tl in (tlcourse.torch, tlcourse.keras):
            parameters = inspect.signature(getattr(tl, name)).parameters
            told.append({key: each.default for key, each in parameters.items()})
        told[0].pop("mixed_precision", None)
        if name == "fit":  # each framework's own
            assert all(callable(each.pop("loss")) for each in told)
        assert told[0] == told[1], name
        assert list(told[0]) == list(told[1]), name


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


@pytest.mark.parametrize("method", ["full", "head", "gradual", "lp-ft"])
def test_fine_tuning_can_leave_batch_norm_as_it_was(tl, method):
    net = model(tl)
    before = state(net)
    tl.fine_tune(net, SPLIT.train, method=method, steps=5, lr=1e-2, freeze_batch_norm=True)
    changed = moved(before, state(net))
    assert not any("norm" in name for name in changed)
    assert any("conv" in name for name in changed) == (method != "head")
    tl.fine_tune(net, SPLIT.train, method="full", steps=2)  # the choice does not linger
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


def test_what_is_made_of_a_model_shares_nothing_with_it(tl):
    source = model(tl)
    kept = state(source)
    layer = {"torch": "backbone.body.block2", "keras": "block2_pool"}[door(tl)]
    made = [
        tl.TransferModel(tl.cut(source, layer), 10),
        tl.copy_first(source, 5),
        tl.fresh_copy(source, seed=1),
    ]
    for net in made:
        tl.fit(net, SPLIT.train, steps=3, lr=1e-1)
    assert not moved(kept, state(source)), "the source moved with its copy"
    before = [state(net) for net in made]
    tl.fit(source, SPLIT.train, steps=3, lr=1e-1)
    assert not any(moved(old, state(net)) for old, net in zip(before, made, strict=True))


def test_a_cut_net_computes_what_the_whole_net_computes_there(tl):
    source = tl.backbone("small-cnn", weights="letters")
    layer = {"torch": "body.block4", "keras": "block4_pool"}[door(tl)]
    whole, part = (
        tl.extract_features(net, DIGITS.inputs[:9]) for net in (source, tl.cut(source, layer))
    )
    np.testing.assert_allclose(whole, part, atol=1e-6)


def test_what_is_frozen_is_frozen_in_the_copy(tl):
    net = tl.freeze(dropping_model(tl), "*")
    for copy in (tl.fresh_copy(net), tl.copy_first(net, 1)):
        assert tl.count_parameters(copy, trainable=True) == 0
        one, two = (run_in_training_mode(copy, SMALL.inputs) for _ in range(2))
        np.testing.assert_array_equal(one, two)


def test_frozen_dropout_does_not_drop_until_it_is_let_go(tl):
    net = dropping_model(tl)
    logits = tl.predict(net, SMALL.inputs)
    runs = {}
    for step in ("fresh", "freeze", "freeze", "unfreeze"):  # twice is as good as once
        if step != "fresh":
            getattr(tl, step)(net, "*")
        runs[step] = [run_in_training_mode(net, SMALL.inputs) for _ in range(2)]
    assert np.abs(runs["fresh"][0] - runs["fresh"][1]).max() > 1e-3
    np.testing.assert_array_equal(*runs["freeze"])
    np.testing.assert_allclose(runs["freeze"][0], logits, atol=1e-6)
    assert np.abs(runs["unfreeze"][0] - runs["unfreeze"][1]).max() > 1e-3


def test_a_frozen_backbone_does_not_drop_while_the_head_learns(tl):
    """With one batch of all examples the order plays no part, so only dropout could."""
    losses = []
    for seed in (0, 1):
        net = tl.freeze(dropping_model(tl), "backbone")
        losses.append(tl.fit(net, SMALL, steps=3, batch_size=24, lr=1e-2, seed=seed).loss)
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_seed_decides_dropout_and_order_and_nothing_else_does(tl):
    def losses(seed, batch_size):
        net = dropping_model(tl)
        return tl.fit(net, SMALL, epochs=2, batch_size=batch_size, lr=1e-2, seed=seed).loss

    for batch_size in (24, 7):
        np.testing.assert_allclose(losses(3, batch_size), losses(3, batch_size), rtol=1e-6)
        assert np.abs(np.subtract(losses(3, batch_size), losses(4, batch_size))).max() > 1e-3


@pytest.mark.parametrize("seeds", [(0, 1), (2, 3), (4, 5)])
def test_the_order_follows_the_seed(tl, seeds):
    """A linear model has no random numbers of its own; one epoch of single examples has order."""
    ends = []
    for seed in (*seeds, seeds[0]):
        net = linear_model(tl)
        tl.fit(net, ROWS, epochs=1, batch_size=1, lr=0.1, seed=seed)
        ends.append(tl.predict(net, ROWS.inputs))
    np.testing.assert_allclose(ends[0], ends[2], atol=1e-6)
    assert np.abs(ends[0] - ends[1]).max() > 1e-4


def test_weight_decay_is_decoupled_and_takes_its_share_of_each_weight(tl):
    """One step differs by lr * decay * weight, whatever the gradient; the cycle sets its lr."""
    ends = []
    for decay in (0.0, 0.5):
        net = model(tl)
        before = state(net)
        tl.fit(net, SPLIT.train, steps=1, lr=1e-2, weight_decay=decay, batch_size=50)
        ends.append(state(net))
    lr = 1e-2 * (1 / 25e4 + (1 - 1 / 25e4) / 2 * (1 + np.cos(np.pi * 0.4 / 1.4)))
    kernels = [name for name in before if before[name].ndim > 1]
    assert len(kernels) == 5
    for name in kernels:
        gap = ends[0][name] - ends[1][name]
        np.testing.assert_allclose(gap, lr * 0.5 * before[name], rtol=1e-2, atol=2e-7)


def test_l2sp_is_the_distance_to_the_start_and_the_size_of_the_head(tl):
    net = model(tl)
    penalty = tl.L2SP(net, 0.6, 0.4)
    head = [name for name in trained_names(net) if "head" in name]
    size = sum(np.square(state(net)[name]).sum() for name in head)
    assert number(penalty(net)) == pytest.approx(0.2 * size, rel=1e-5)
    for name in trained_names(net) - set(head):
        change(net, name, 0.1)
    n_below = tl.count_parameters(net.backbone)
    assert number(penalty(net)) == pytest.approx(0.3 * 0.01 * n_below + 0.2 * size, rel=1e-3)
    tl.freeze(net, "backbone")
    assert number(penalty(net)) == pytest.approx(0.2 * size, rel=1e-5)


def test_rates_fall_by_the_same_ratio_from_head_to_input(tl):
    net = model(tl)
    rates = tl.layer_rates(net, 0.8, decay=2)
    for depth, (name, members) in enumerate(reversed(tl.layers(net).items())):
        found = {rate for key, rate in rates.items() if key.removesuffix(".*") in members}
        assert found == {0.8 / 2**depth}, name


def test_the_report_of_a_copy_reads_the_same(tl):
    start, end = tl.source_model("letters"), model(tl, weights=None)
    report = tl.copy_parameters(start, end)
    assert isinstance(report, tl.CopyReport)
    assert str(report).splitlines()[0] == f"copied {len(report.copied)}, skipped 2"
    assert sorted(why.partition(":")[0] for why in report.skipped.values()) == ["shape", "shape"]
    onto_backbone = tl.copy_parameters(end.backbone, start.backbone)
    assert onto_backbone.skipped == {}
    left = tl.copy_parameters(start.backbone, tl.cut(start, tl_first_layer(tl, start)))
    assert set(left.skipped.values()) == {"unused: the target has no such name"}
    kept = state(end)
    with pytest.raises(ValueError, match="share no parameter by name and shape"):
        tl.copy_parameters(linear_model(tl), end)
    assert not moved(kept, state(end))


def tl_first_layer(tl, net):
    return {"torch": "backbone.body.block1", "keras": "block1_pool"}[door(tl)]


def as_tensor(tl, array):
    return torch.from_numpy(array) if door(tl) == "torch" else keras.ops.convert_to_tensor(array)


def test_the_distillation_loss_is_the_paper_s(tl):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 0, 1])
    got = tl.distillation_loss(
        *(as_tensor(tl, one) for one in (student, teacher, labels)), temperature=3, weight=0.7
    )
    p, log_q = softmax(teacher / 3, axis=1), log_softmax(student / 3, axis=1)
    soft = (p * (np.log(p) - log_q)).sum(axis=1).mean()
    hard = -log_softmax(student, axis=1)[np.arange(6), labels].mean()
    assert float(got) == pytest.approx(0.7 * 9 * soft + 0.3 * hard, rel=1e-5)
    by_hand = tl.distillation_loss(
        *(as_tensor(tl, np.array(one)) for one in ([[0.0, 0.0]], [[np.log(3.0), 0.0]], [0])),
        temperature=1,
        weight=1,
    )  # 3/4 log(3/2) + 1/4 log(1/2)
    assert float(by_hand) == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), abs=1e-6)


def test_a_student_like_its_teacher_pays_nothing_to_it(tl):
    net = linear_model(tl)
    assert tl.distil(net, net, ROWS, weight=1.0, steps=1, batch_size=12).loss == pytest.approx(
        [0.0], abs=1e-6
    )


def test_a_student_of_other_classes_and_another_loss_are_refused(tl):
    net = linear_model(tl)
    with pytest.raises(ValueError, match="model has 3 outputs, but train has 2 classes"):
        tl.distil(linear_model(tl, k=3), net, ROWS, steps=1)
    with pytest.raises(TypeError, match="loss"):
        tl.distil(net, net, ROWS, steps=1, loss=lambda logits, labels: 0)


def test_a_teacher_of_other_classes_is_refused_before_training(tl):
    student, kept = model(tl), None
    kept = state(student)
    with pytest.raises(ValueError, match="teacher gives 26 logits, but train has 10 classes"):
        tl.distil(student, tl.source_model("letters"), SPLIT.train, steps=1)
    for options in ({"temperature": 0}, {"weight": 1.5}):
        with pytest.raises(ValueError, match="temperature must be > 0 and weight in"):
            tl.distil(student, student, SPLIT.train, steps=1, **options)
    assert not moved(kept, state(student))


def two_tasks():
    return {"digit": SPLIT.train, "is even": as_parity(SPLIT.train)}


def as_parity(domain):
    return Domain("parity", domain.inputs, domain.labels % 2, ("even", "odd"))


def shared_trunk(tl, seed=0):
    net = tl.backbone("small-cnn", weights="letters")
    return tl.SharedTrunk(net, {"digit": 10, "is even": 2}, seed=seed)


def test_one_task_trained_jointly_is_trained_as_alone(tl):
    """One optimiser and one cycle from the first update to the last."""
    options = {"steps": 6, "batch_size": len(SPLIT.train), "lr": 3e-3, "seed": 2}
    trunk = tl.SharedTrunk(tl.backbone("small-cnn", weights="letters"), {"digit": 10})
    jointly = tl.fit_jointly(trunk, {"digit": SPLIT.train}, **options)
    alone = model(tl)
    history = tl.fit(alone, SPLIT.train, **options)
    np.testing.assert_allclose(jointly.loss, history.loss, rtol=2e-3)
    logits = [tl.predict(net, SPLIT.test.inputs[:20]) for net in (trunk.tasks["digit"], alone)]
    np.testing.assert_allclose(*logits, atol=3e-2)


def test_the_joint_loss_is_the_weighted_sum_over_the_tasks(tl):
    """Frozen in all but the heads, training mode is evaluation mode, so the loss is known."""
    trunk, trains = shared_trunk(tl), two_tasks()
    for head in trunk.tasks.values():
        tl.freeze(head, "backbone")
    losses = {task: tl.evaluate(trunk.tasks[task], trains[task]).log_loss for task in trains}
    history = tl.fit_jointly(
        trunk, trains, steps=3, batch_size=99, weights={"digit": 0.5, "is even": 2.0}
    )
    assert history.loss[0] == pytest.approx(
        0.5 * losses["digit"] + 2.0 * losses["is even"], rel=1e-4
    )
    assert len(history.loss) == history.steps == 3
    assert history.trained_parameters == 12 * 129 and history.seconds > 0


def test_tasks_that_learn_jointly_share_one_trunk_and_all_improve(tl):
    trunk, trains = shared_trunk(tl), two_tasks()
    before = {task: tl.evaluate(trunk.tasks[task], trains[task]).log_loss for task in trains}
    history = tl.fit_jointly(trunk, trains, steps=30, lr=3e-3, batch_size=16)
    after = {task: tl.evaluate(trunk.tasks[task], trains[task]).log_loss for task in trains}
    assert all(after[task] < before[task] / 2 for task in trains)
    assert history.loss[-1] < history.loss[0] / 2
    seen = [tl.extract_features(trunk.tasks[task], DIGITS.inputs[:3]) for task in trains]
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"trains": {"digit": SPLIT.train}}, "trains has the tasks ['digit'], but the trunk has"),
        ({"weights": {"digit": 1.0}}, "weights has the tasks ['digit'], but the trunk has"),
        ({"trains": {"digit": SPLIT.train, "is even": SPLIT.train}}, "at least one example and 2"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_joint_training_refuses_what_does_not_fit(tl, options, reason):
    with pytest.raises(ValueError) as caught:
        tl.fit_jointly(shared_trunk(tl), **{"trains": two_tasks(), "steps": 2} | options)
    assert reason in str(caught.value)


def test_evaluation_is_that_of_the_predicted_logits(tl):
    net = model(tl)
    wanted = evaluate_logits(
        tl.predict(net, SPLIT.test.inputs), SPLIT.test.labels, SPLIT.test.class_names
    )
    got = tl.evaluate(net, SPLIT.test)
    np.testing.assert_array_equal(got.confusion, wanted.confusion)
    assert got.log_loss == pytest.approx(wanted.log_loss, rel=1e-5)


def test_batches_do_not_change_a_prediction(tl):
    net = model(tl)
    whole, parts = (tl.predict(net, DIGITS.inputs[:23], batch_size=n) for n in (23, 4))
    np.testing.assert_allclose(whole, parts, atol=1e-4)
    features = tl.extract_features(net, DIGITS.inputs[:23], batch_size=5)
    np.testing.assert_allclose(features, tl.predict(net.backbone, DIGITS.inputs[:23]), atol=1e-4)


def test_predictions_follow_the_weights_and_not_an_earlier_compilation(tl):
    net, images = model(tl), DIGITS.inputs[:23]
    tl.predict(net, images, batch_size=2)
    tl.fit(net, SPLIT.train, steps=5, lr=1e-2)
    many, few = (tl.predict(net, images, batch_size=n) for n in (2, 23))
    np.testing.assert_allclose(few, many, atol=1e-4)
    tl.freeze(net, "*")
    np.testing.assert_allclose(tl.predict(net, images, batch_size=2), few, atol=1e-4)
    np.testing.assert_allclose(run_in_training_mode(net, images), few, atol=1e-4)


def test_bytes_are_pixels_and_numbers_of_another_scale_are_refused(tl):
    net = model(tl)
    pixels = np.round(DIGITS.inputs[:9] * 255).astype(np.uint8)
    shares = pixels.astype(np.float32) / 255
    np.testing.assert_allclose(tl.predict(net, pixels), tl.predict(net, shares), atol=1e-5)
    np.testing.assert_allclose(
        tl.extract_features(net, pixels, batch_size=2), tl.extract_features(net, shares), atol=1e-4
    )
    for wrong in (255 * shares, 2 * shares - 1, pixels.astype(np.int64)):
        with pytest.raises(ValueError, match=r"images span \[.*give them in \[0, 1\], or as bytes"):
            tl.predict(net, wrong)
    tl.predict(net, shares * 1.1 - 0.05)  # what resampling with a sharp kernel leaves


class Unread:
    """Pictures that are read by rows only, and note which."""

    def __init__(self, images):
        self.images, self.read = images, []
        self.shape, self.ndim, self.dtype = images.shape, images.ndim, images.dtype

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.read += list(np.arange(len(self))[rows])
        return self.images[rows]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read as a whole")


def test_pictures_are_read_batch_by_batch_and_each_once(tl):
    net, images = model(tl), DIGITS.inputs[:23]
    unread = Unread(images)
    np.testing.assert_allclose(
        tl.predict(net, unread, batch_size=5), tl.predict(net, images), atol=1e-4
    )
    assert unread.read == list(range(23))


def test_training_reads_pictures_from_files_as_it_reads_arrays(tl, tmp_path):
    folder = data.write_image_folder(DIGITS.subset(np.arange(40)), tmp_path / "digits", seed=0)
    losses = []
    for keep in (2**30, 0):  # bytes in memory, and decoded on each access
        pictures = data.Pictures(sorted(folder.rglob("*.png")), 32, 1, keep_bytes=keep)
        domain = Domain("files", pictures, np.arange(len(pictures)) % 10, DIGITS.class_names)
        losses.append(tl.fit(model(tl), domain, epochs=1, batch_size=8).loss)
        whole = domain.with_inputs(pictures[:])
        losses.append(tl.fit(model(tl), whole, epochs=1, batch_size=8).loss)
    np.testing.assert_allclose(losses, np.broadcast_to(losses[0], np.shape(losses)), rtol=1e-4)


def test_pictures_loaded_smaller_than_the_net_sees_them_are_warned_about(tl, tmp_path):
    folder = data.write_image_folder(DIGITS.subset(np.arange(20)), tmp_path / "digits", seed=0)
    pictures = data.Pictures(sorted(folder.rglob("*.png")), 16, 1)
    domain = Domain("files", pictures, np.arange(len(pictures)) % 10, DIGITS.class_names)
    for work in (
        lambda: tl.predict(model(tl), pictures),
        lambda: tl.fit(model(tl), domain, steps=1),
    ):
        with pytest.warns(UserWarning, match="loaded with size=16, .* load them with size=32"):
            work()


@pytest.mark.parametrize("n_classes", [5, 26])
def test_a_model_of_other_classes_is_refused_before_it_moves(tl, n_classes):
    net = tl.TransferModel(tl.backbone("small-cnn"), n_classes)
    kept = {name: value for name, value in state(net).items() if name in trained_names(net)}
    with pytest.raises(ValueError, match=f"has {n_classes} outputs, but train has 10 classes"):
        tl.fit(net, SPLIT.train, steps=2)
    assert not moved(kept, state(net))


def test_a_loss_may_read_labels_otherwise(tl):
    def first_logit(outputs, labels):
        return (
            (outputs[:, 0] ** 2).mean()
            if door(tl) == "torch"
            else keras.ops.mean(outputs[:, 0] ** 2)
        )

    net = tl.TransferModel(tl.backbone("small-cnn"), 4)
    history = tl.fit(net, SPLIT.train, steps=4, loss=first_logit, labels_are_classes=False)
    assert history.steps == 4


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
