"""The schedule of the methods, told by a door that writes down what it is asked for."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from tlcourse import data, methods
from tlcourse.history import BestWeights, DivergedError, History
from tlcourse.methods import Door

IRIS = data.load("iris")
TRAIN, VALIDATION = IRIS.subset(np.arange(0, 150, 3)), IRIS.subset(np.arange(1, 150, 3))


@dataclass
class Diary:
    """What the verbs were called with, in order."""

    told: list = field(default_factory=list)

    def fit(self, model, train, validation=None, **options):
        steps = options.get("steps") or 7
        self.told.append(("fit", model, train, validation, options))
        return History([1.0 / steps], [0.5], [0.9], 0, steps, 10.0, steps, "here")

    def hold(self, model):
        self.told.append(("freeze_batch_norm", model))
        return model

    def verb(self, name):
        return lambda *arguments, **_: self.told.append((name, *arguments))

    def door(self):
        def predict(model, inputs, device):
            self.told.append(("predict", model, len(inputs), device))
            return np.zeros((len(inputs), 3), dtype=np.float32)

        return Door(
            fit=self.fit,
            predict=predict,
            extract_features=lambda model, inputs, device: inputs[:, :2],
            linear_probe=self.verb("linear_probe"),
            unfreeze=self.verb("unfreeze"),
            freeze_batch_norm=self.hold,
            unfreeze_last=self.verb("unfreeze_last"),
            layer_names=lambda model: ["a", "b", "head"],
            head_of=lambda model: f"head of {model}",
        )


def tell(method, **options):
    diary = Diary()
    history = methods.fine_tune(diary.door(), "net", TRAIN, VALIDATION, method=method, **options)
    return diary.told, history


def test_full_trains_everything():
    told, _ = tell("full", lr=0.1)
    assert told[0] == ("unfreeze", "net", "*")
    assert told[1] == ("fit", "net", TRAIN, VALIDATION, {"lr": 0.1})


def test_head_trains_the_head_alone_on_features_computed_once():
    told, history = tell("head", lr=0.1)
    assert told[0] == ("unfreeze_last", "net", 1)
    _, model, train, validation, options = told[1]
    assert model == "head of net" and options == {"lr": 0.1, "device": "auto"}
    np.testing.assert_array_equal(train.inputs, TRAIN.inputs[:, :2])
    np.testing.assert_array_equal(validation.inputs, VALIDATION.inputs[:, :2])
    np.testing.assert_array_equal(train.labels, TRAIN.labels)
    assert history.seconds > 10.0
    with pytest.raises(ValueError, match="augment needs the images of each epoch anew"):
        tell("head", augment=len)


def test_head_works_without_validation():
    diary = Diary()
    methods.fine_tune(diary.door(), "net", TRAIN, method="head")
    assert diary.told[1][3] is None


def test_last_trains_as_many_layers_as_it_is_told():
    told, _ = tell("last", last=2, steps=4)
    assert told[0] == ("unfreeze_last", "net", 2) and told[1][4] == {"steps": 4}


def test_gradual_goes_down_a_layer_in_each_phase_and_shares_out_the_updates():
    told, history = tell("gradual", steps=8, seed=5, lr=0.1)
    assert [entry for entry in told if entry[0] == "unfreeze_last"] == [
        ("unfreeze_last", "net", k) for k in (1, 2, 3)
    ]
    fits = [entry[4] for entry in told if entry[0] == "fit"]
    assert [(f["steps"], f["seed"]) for f in fits] == [(3, 5), (3, 6), (2, 7)]
    assert all(f["batch_size"] == 32 and f["lr"] == 0.1 for f in fits)
    assert history.steps == 8 and history.seconds == 30.0 and history.device == "here"
    assert history.loss == pytest.approx([1 / 3, 1 / 3, 1 / 2])
    assert history.best_epoch == 2 and history.trained_parameters == 2


def test_gradual_has_the_same_budget_in_epochs():
    _, history = tell("gradual", epochs=3, batch_size=16)
    assert history.steps == 3 * 4  # 50 examples in batches of at most 16
    with pytest.raises(ValueError, match="2 updates are too few for 3 phases"):
        tell("gradual", steps=2)
    with pytest.raises(ValueError, match="steps is 0"):
        tell("gradual", steps=0)


def test_lp_ft_probes_before_it_trains_everything():
    told, history = tell("lp-ft", steps=4)
    assert told[:2] == [("linear_probe", "net", TRAIN), ("unfreeze", "net", "*")]
    assert told[2][4] == {"steps": 4, "device": "auto"} and history.seconds > 10.0


@pytest.mark.parametrize(("method", "phases"), [("full", 1), ("lp-ft", 1), ("gradual", 3)])
def test_batch_norm_is_held_before_each_phase_and_after_all_else(method, phases):
    told, _ = tell(method, steps=6, freeze_batch_norm=True)
    names = [entry[0] for entry in told]
    assert names.count("freeze_batch_norm") == names.count("fit") == phases
    assert all(names[i - 1] == "freeze_batch_norm" for i, one in enumerate(names) if one == "fit")
    assert "freeze_batch_norm" not in [entry[0] for entry in tell(method, steps=6)[0]]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"method": "half"}, "method is 'half'; it must be one of full, head, last, gradual, lp"),
        ({"method": "last"}, "last is None and method 'last'"),
        ({"method": "full", "last": 2}, "last is 2 and method 'full'"),
    ],
)
def test_methods_that_do_not_exist_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        methods.fine_tune(Diary().door(), "net", TRAIN, **options)


def test_a_teacher_is_asked_once_and_the_loss_finds_the_row_of_each_example():
    diary, seen = Diary(), []

    def make_loss(logits, labels):
        seen.append((logits, labels))
        return lambda outputs, rows: ("the loss", rows)

    history = methods.distil(
        diary.door(), make_loss, "pupil", "teacher", TRAIN, VALIDATION, device="cpu", steps=3
    )
    assert diary.told[0] == ("predict", "teacher", 50, "cpu")
    _, model, train, validation, options = diary.told[1]
    assert model == "pupil" and validation is VALIDATION
    assert {"device": "cpu", "steps": 3}.items() <= options.items()
    assert options["loss"](np.zeros((2, 3)), "rows") == ("the loss", "rows")
    with pytest.raises(ValueError, match="model has 4 outputs, but train has 3 classes"):
        options["loss"](np.zeros((2, 4)), "rows")
    assert options["labels_are_classes"] is False
    np.testing.assert_array_equal(train.labels, np.arange(50))
    np.testing.assert_array_equal(train.inputs, TRAIN.inputs)
    assert seen[0][0].shape == (50, 3) and seen[0][1] is TRAIN.labels
    assert history.seconds > 10.0


def test_a_teacher_of_other_classes_is_refused():
    wine = TRAIN.subset(TRAIN.labels < 2)
    two = data.Domain("two", wine.inputs, wine.labels, ("a", "b"))
    diary = Diary()
    with pytest.raises(ValueError, match="teacher gives 3 logits, but train has 2 classes"):
        methods.distil(diary.door(), len, "pupil", "teacher", two)
    assert [entry[0] for entry in diary.told] == ["predict"]


def test_a_joined_history_goes_on_where_the_earlier_one_ended():
    whole = History([3.0], [2.0], [0.1], None, 4, 1.5, 10, "cpu")
    whole.join(History([2.0, 1.0], [1.5, 1.6], [0.2, 0.3], None, 8, 2.0, 20, "gpu"))
    assert whole == History(
        [3.0, 2.0, 1.0], [2.0, 1.5, 1.6], [0.1, 0.2, 0.3], None, 12, 3.5, 20, "gpu"
    )
    whole.join(History([0.5], best_epoch=0))
    assert whole.best_epoch == 3
    whole.join(History([0.4]))  # a part that kept nothing leaves the choice as it is
    assert whole.best_epoch == 3


def test_an_epoch_is_recorded_and_no_future_is_an_error():
    history = History(steps=5)
    history.record(0.5)
    assert history.loss == [0.5] and history.validation_loss == []
    for loss in (np.nan, np.inf):
        with pytest.raises(DivergedError, match="after 5 updates; lower lr"):
            history.record(loss)
    assert history.loss == [0.5]


@pytest.mark.parametrize(
    ("losses", "patience", "best", "epochs"),
    [
        ([3, 2, 1], 1, 2, 3),
        ([3, 1, 2, 0], 1, 1, 3),
        ([3, 1, 2, 0, 5], 2, 3, 5),
        ([1, 1, 1], 2, 0, 3),  # no lower loss is no progress
        ([3, 2, 1], None, None, 3),
    ],
)
def test_training_gives_up_after_patience_and_the_best_weights_come_back(
    losses, patience, best, epochs
):
    model, history = {"epoch": -1}, History()
    keeper = BestWeights(patience, lambda: dict(model), model.update)
    for epoch, loss in enumerate(losses):
        if keeper.is_exhausted:
            break
        model["epoch"] = epoch
        history.validation_loss.append(loss)
        keeper.look(history)
    assert len(history.validation_loss) == epochs
    keeper.restore(history)
    assert history.best_epoch == best
    assert model["epoch"] == (len(losses) - 1 if best is None else best)
