"""The training loop: what learns, for how long, with which batches, rates and random numbers."""

import copy
import threading

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse.batches import fetch, in_turn
from tlcourse.data import Domain, load
from tlcourse.torch import training
from tlcourse.torch.models import Preprocess
from tlcourse.torch.training import make_optimiser


def rows(n=40, d=5, k=3, seed=0):
    """Draw rows whose class is told by one column."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    inputs = rng.normal(size=(n, d)).astype(np.float32)
    inputs[:, 0] += 3 * labels
    return Domain("rows", inputs, labels, tuple("abcdef"[:k]))


def perceptron(seed=0, k=3):
    """Make a small net with BatchNorm and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, k)
        )


class Batches:
    """A loss that keeps the size of each batch it sees."""

    def __init__(self):
        self.sizes = []

    def __call__(self, logits, labels):
        """Compute cross-entropy."""
        self.sizes.append(len(labels))
        return F.cross_entropy(logits, labels)


def test_training_learns_and_reports():
    model = perceptron()
    history = tl.fit(model, rows(), rows(seed=1), epochs=30, lr=1e-2)
    assert tl.evaluate(model, rows(seed=2)).accuracy > 0.7
    assert len(history.loss) == len(history.validation_loss) == 30
    assert history.loss[-1] < history.loss[0] / 2
    final = tl.evaluate(model, rows(seed=1))
    assert history.validation_loss[-1] == final.log_loss
    assert history.validation_accuracy[-1] == final.accuracy
    assert history.trained_parameters == 5 * 8 + 8 + 16 + 8 * 3 + 3
    assert history.best_epoch is None
    assert not model.training


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(33, 32, [16, 17]), (40, 16, [13, 13, 14]), (32, 32, [32]), (5, 32, [5])],
)
def test_batches_are_equal_but_for_one_and_no_example_stays_alone(n, batch_size, sizes):
    seen = Batches()
    tl.fit(perceptron(), rows(n), epochs=1, batch_size=batch_size, loss=seen)
    assert sorted(seen.sizes) == sizes


def test_every_example_is_seen_once_in_an_epoch():
    seen = []
    domain = rows(17)
    numbered = domain.with_inputs(np.arange(17 * 5, dtype=np.float32).reshape(17, 5))
    tl.fit(
        perceptron(),
        numbered,
        epochs=2,
        batch_size=4,
        augment=lambda inputs: seen.append(inputs[:, 0].clone()) or inputs,
    )
    order = torch.cat(seen) / 5
    assert order[:17].sort().values.tolist() == order[17:].sort().values.tolist() == list(range(17))
    assert order[:17].tolist() != order[17:].tolist()


@pytest.mark.parametrize("steps", [1, 3, 7, 10])
def test_steps_are_exact(steps):
    seen = Batches()
    history = tl.fit(perceptron(), rows(), steps=steps, batch_size=16, loss=seen)
    assert history.steps == len(seen.sizes) == steps


def test_optimiser_gets_only_what_learns():
    model = tl.freeze(perceptron(), "0")
    optimiser, _ = make_optimiser(model, 1e-3, 0.01, 10)
    given = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert given == {id(p) for name, p in model.named_parameters() if not name.startswith("0.")}


def test_rates_by_glob_peak_where_asked_and_the_first_match_counts():
    model = perceptron()
    optimiser, schedule = make_optimiser(model, {"4.bias": 0.5, "4.*": 0.2, "*": 0.1}, 0.03, 100)
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        if len(rates) < 100:
            schedule.step()
    assert_allclose(np.max(rates, axis=0), [0.5, 0.2, 0.1], rtol=1e-3)
    assert_allclose(np.array(rates)[:, 0] / np.array(rates)[:, 2], 5, rtol=1e-6)
    assert rates[-1][0] < 0.001 < rates[0][0] < 0.05
    assert [len(group["params"]) for group in optimiser.param_groups] == [1, 1, 4]
    assert all(group["weight_decay"] == 0.03 for group in optimiser.param_groups)


def test_early_stopping_restores_the_best_weights_and_buffers():
    model, seen = perceptron(), []
    train, validation = rows(12), rows(30, seed=3)
    flipped = Domain("wrong", validation.inputs, (validation.labels + 1) % 3, ("a", "b", "c"))

    def keep(net):
        seen.append(copy.deepcopy(net.state_dict()))
        return torch.zeros(())

    history = tl.fit(model, train, flipped, epochs=60, patience=4, lr=1e-2, penalty=keep)
    best = int(np.argmin(history.validation_loss))
    assert history.best_epoch == best
    assert len(history.loss) == best + 5 < 60
    restored = model.state_dict()  # the next epoch's first penalty saw these weights
    assert all(
        torch.equal(restored[name], tensor)
        for name, tensor in seen[best + 1].items()
        if "running" not in name and "tracked" not in name
    )
    assert tl.evaluate(model, flipped).log_loss == history.validation_loss[best]


def test_divergence_is_told():
    with pytest.raises(tl.DivergedError, match="the loss is nan after 3 updates; lower lr"):
        tl.fit(
            perceptron(),
            rows(),
            steps=3,
            batch_size=16,
            loss=lambda logits, labels: F.cross_entropy(logits, labels) * float("nan"),
        )


def test_same_seed_same_bits_and_the_global_state_is_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    finals = []
    for seed in (1, 1, 2):
        model = perceptron()
        tl.fit(model, rows(), epochs=3, batch_size=8, seed=seed)
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        torch.rand(3)
        torch.set_rng_state(state)
    assert torch.equal(finals[0], finals[1])
    assert not torch.equal(finals[0], finals[2])
    tl.fit(perceptron(), rows(), epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_global_state_does_not_reach_the_training():
    finals = []
    for global_seed in (1, 2):
        model = perceptron()
        torch.manual_seed(global_seed)
        tl.fit(model, rows(), epochs=2)
        finals.append(model[0].weight.detach().clone())
    assert torch.equal(*finals)


def order_of(seed, *, n=20, epochs=2, batch_size=6):
    """Train on numbered examples; return their numbers as they come."""
    seen = []
    numbered = rows(n).with_inputs(np.repeat(np.arange(n, dtype=np.float32)[:, None], 5, axis=1))
    tl.fit(
        nn.Linear(5, 3),
        numbered,
        epochs=epochs,
        batch_size=batch_size,
        augment=lambda inputs: seen.extend(inputs[:, 0].tolist()) or inputs,
        seed=seed,
    )
    return seen


def test_the_order_of_the_examples_follows_the_seed():
    assert order_of(1) == order_of(1)
    assert order_of(1) != order_of(2)
    draw = np.random.default_rng(1)
    assert order_of(1) == [*draw.permutation(20), *draw.permutation(20)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_an_update_is_adamws_with_its_weight_decay(weight_decay):
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0], [-3.0]]))
    one = Domain("one", np.ones((1, 1), np.float32), np.array([0]), ("a", "b"))
    rate = make_optimiser(model, 0.1, weight_decay, 1)[1].get_last_lr()[0]
    tl.fit(model, one, steps=1, lr=0.1, weight_decay=weight_decay, device="cpu")
    # Loshchilov and Hutter 2019, algorithm 2; Adam's first step is the gradient's sign
    wanted = np.array([4.0, -3.0]) * (1 - rate * weight_decay) - rate * np.array([-1, 1])
    assert_allclose(model.weight.detach().numpy()[:, 0], wanted, rtol=1e-5)


def test_what_is_not_said_is_what_the_documentation_says():
    said = {"epochs": 20, "lr": 1e-3, "batch_size": 32, "weight_decay": 0.01, "seed": 0}
    finals = []
    for options in ({}, said):
        model = perceptron()
        history = tl.fit(model, rows(33), device="cpu", **options)
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert history.steps == 40
    assert torch.equal(*finals)


def test_the_loss_of_an_epoch_is_the_mean_over_its_updates_penalty_included():
    losses = []

    def noted(logits, labels):
        losses.append(F.cross_entropy(logits, labels))
        return losses[-1]

    history = tl.fit(
        perceptron(),
        rows(),
        steps=7,
        batch_size=16,
        loss=noted,
        penalty=lambda net: torch.tensor(5.0),
        device="cpu",
    )
    losses = 5 + torch.stack(losses).detach().numpy()
    epochs = [losses[:3], losses[3:6], losses[6:]]
    assert_allclose(history.loss, [epoch.mean() for epoch in epochs], rtol=1e-6)


def test_the_history_knows_device_and_seconds_and_the_bar_the_updates(monkeypatch, capsys):
    clock = iter([100.0, 107.0])
    monkeypatch.setattr(training, "perf_counter", lambda: next(clock))
    history = tl.fit(perceptron(), rows(), steps=3, device="cpu")
    assert (history.seconds, history.device) == (7.0, "cpu")
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    history = tl.fit(perceptron(), rows(), steps=3, device="cpu", progress=True)
    assert "3/3 [" in (bar := capsys.readouterr().err)
    assert f"loss={history.loss[-1]:.3f}" in bar


def test_only_what_learns_is_counted():
    history = tl.fit(tl.freeze(perceptron(), "0"), rows(), steps=1, device="cpu")
    assert history.trained_parameters == 16 + 8 * 3 + 3


def test_each_epoch_trains_in_training_mode_although_validation_is_not():
    modes = []
    tl.fit(
        perceptron(),
        rows(),
        rows(),
        epochs=3,
        penalty=lambda net: modes.append(net[3].training) or torch.zeros(()),
        device="cpu",
    )
    assert modes == [True] * 6


def test_penalty_is_added_to_the_loss():
    model = perceptron()
    tl.fit(
        model,
        rows(),
        epochs=60,
        lr=1e-2,
        weight_decay=0.0,
        penalty=lambda net: 100 * net[4].weight.square().sum(),
    )
    assert model[4].weight.abs().max() < 0.05


def test_predict_keeps_the_mode_and_does_not_depend_on_batches():
    model, inputs = perceptron(), rows().inputs
    for mode in (True, False):
        model.train(mode)
        whole = tl.predict(model, inputs)
        model[3].training = True  # Monte Carlo dropout, say
        tl.predict(model, inputs)
        assert model.training is model[1].training is mode
        assert model[3].training
        assert_allclose(tl.predict(model, inputs, batch_size=7), whole, atol=1e-6)
    assert whole.dtype == np.float32
    assert_allclose(whole, model.eval()(torch.from_numpy(inputs)).detach(), atol=1e-6)


def test_predict_takes_read_only_and_memory_mapped_inputs(tmp_path):
    np.save(tmp_path / "inputs.npy", rows().inputs)
    mapped = np.load(tmp_path / "inputs.npy", mmap_mode="r")
    assert_allclose(tl.predict(perceptron(), mapped), tl.predict(perceptron(), rows().inputs))


def test_features_are_what_the_head_sees():
    model = tl.TransferModel(tl.backbone("small-cnn"), 3)
    images = np.random.default_rng(0).random((5, 32, 32, 1), dtype=np.float32)
    features = tl.extract_features(model, images)
    assert features.shape == (5, 128)
    assert np.array_equal(features, tl.extract_features(model.backbone, images))
    head = model.head
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert_allclose(tl.predict(model, images), logits, atol=1e-5)


def test_layers_that_work_in_place_do_not_reach_the_callers_array():
    inputs = -np.ones((3, 5), dtype=np.float32)
    tl.predict(nn.ReLU(inplace=True), inputs)
    assert (inputs == -1).all()


def test_images_are_transposed_not_reshaped():
    spy = nn.Identity()
    image = np.zeros((1, 4, 6, 3), dtype=np.float32)
    image[0, 1, 2] = (0.1, 0.5, 0.9)
    seen = tl.predict(spy, image)
    assert seen.shape == (1, 3, 4, 6)
    assert_allclose(seen[0, :, 1, 2], (0.1, 0.5, 0.9))


class Files:
    """Inputs that exist only where they are indexed, and that note each index."""

    dtype, ndim = np.dtype(np.float32), 4

    def __init__(self, images, broken=()):
        self.images, self.broken, self.asked, self.threads = images, broken, [], set()
        self.shape = images.shape

    def __len__(self):
        """Return the number of images."""
        return len(self.images)

    def __array__(self, dtype=None, copy=None):
        """Refuse to be held whole."""
        raise MemoryError("too many pictures for an array")

    def __getitem__(self, key):
        """Decode some images."""
        chosen = np.arange(len(self))[key]
        if set(chosen) & set(self.broken):
            raise OSError(f"one of {chosen} cannot be decoded")
        self.asked.append(chosen.tolist())
        self.threads.add(threading.current_thread())
        return self.images[key]


def random_images(n, size=32, channels=1):
    """Draw images."""
    return np.random.default_rng(0).random((n, size, size, channels), dtype=np.float32)


def fetching_threads():
    """Return the threads that read inputs."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]


def test_prediction_takes_files_batch_by_batch_in_one_other_thread_that_ends():
    images, model = random_images(10), tl.TransferModel(tl.backbone("small-cnn"), 3)
    files = Files(images)
    assert np.array_equal(
        tl.predict(model, files, batch_size=4), tl.predict(model, images, batch_size=4)
    )
    assert files.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(files.threads) == 1
    assert threading.current_thread() not in files.threads
    assert not fetching_threads()


def test_the_next_batch_is_fetched_while_the_net_computes():
    came = threading.Event()

    class Waits(nn.Module):
        def forward(self, inputs):
            """Compute nothing before the second batch has been read."""
            assert came.wait(timeout=60)
            return inputs.flatten(1)

    class Tells(Files):
        def __getitem__(self, key):
            """Tell when the second batch is read."""
            images = super().__getitem__(key)
            if len(self.asked) == 2:
                came.set()
            return images

    assert tl.predict(Waits(), Tells(random_images(6)), batch_size=3).shape == (6, 1024)


def test_no_more_than_one_batch_is_fetched_ahead():
    files, ahead = Files(random_images(12)), []
    stream = fetch(files, in_turn(12, 2))
    for taken, _ in enumerate(stream, start=1):
        ahead.append(len(files.asked) - taken)
    assert max(ahead) <= 1
    assert len(files.asked) == 6


def test_training_from_files_gives_the_same_bits_as_from_memory():
    images, labels = random_images(11), np.arange(11) % 3
    domain = Domain("noise", images, labels, ("a", "b", "c"))
    from_files = copy.copy(domain)
    object.__setattr__(from_files, "inputs", Files(images))
    weights = []
    for train in (domain, from_files):
        model = tl.TransferModel(tl.backbone("small-cnn"), 3)
        tl.fit(model, train, train, epochs=3, batch_size=4)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not fetching_threads()


def test_what_goes_wrong_in_reading_is_raised_and_no_thread_is_left():
    model = tl.TransferModel(tl.backbone("small-cnn"), 3)
    with pytest.raises(OSError, match="cannot be decoded") as caught:
        tl.predict(model, Files(random_images(9), broken=[5]), batch_size=2)
    assert not fetching_threads(), caught
    with pytest.raises(ZeroDivisionError) as caught:  # in the net, while a batch is on its way
        tl.predict(Fails(), Files(random_images(9)), batch_size=2)
    assert not fetching_threads(), caught


class Fails(nn.Module):
    """A net with a fault of its own."""

    def forward(self, inputs):
        """Fail."""
        raise ZeroDivisionError


class Sees(nn.Module):
    """A net that notes the shapes that it is given, and returns the means over space."""

    def __init__(self):
        super().__init__()
        self.shapes, self.are_channels_last = [], []

    def forward(self, images):
        """Average over space."""
        self.shapes.append(tuple(images.shape))
        self.are_channels_last.append(images.is_contiguous(memory_format=torch.channels_last))
        return images.mean(dim=(2, 3))


class Views(nn.Module):
    """A net as in PyTorch's tutorials: a convolution, pooling, and ``view``."""

    def __init__(self, channels):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 4, 5), nn.Linear(4 * 14 * 14, 3)

    def forward(self, images):
        """Map images to logits."""
        assert images.view(len(images), -1).shape[1] == images[0].numel()
        return self.head(nn.functional.max_pool2d(self.conv(images), 2).view(len(images), -1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [np.float32(1), np.uint8(1)])
def test_nets_that_view_their_maps_can_have_pictures(channels, scale):
    inputs = (random_images(6, channels=channels) * scale).astype(scale.dtype)
    assert tl.predict(Views(channels), inputs, device="cpu").shape == (6, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_nets_that_view_their_maps_can_learn(channels):
    inputs = random_images(6, channels=channels)
    domain = Domain("random", inputs, np.arange(6) % 3, ("a", "b", "c"))
    assert tl.fit(Views(channels), domain, steps=2, device="cpu").steps == 2


@pytest.mark.parametrize(
    ("n", "size", "channels", "batches"),
    [(300, 32, 1, [256, 44]), (40, 224, 3, [16, 16, 8]), (2, 1024, 3, [1, 1])],
)
def test_large_pictures_come_in_small_batches(n, size, channels, batches):
    net, image = Sees(), np.full((1, size, size, channels), 0.5, np.float32)
    many = np.broadcast_to(image, (n, size, size, channels))  # takes the memory of one
    tl.predict(net, many, device="cpu")
    assert [shape[0] for shape in net.shapes] == batches
    for verb in (tl.predict, tl.extract_features):
        net.shapes.clear()
        verb(net, many[:2], batch_size=2, device="cpu")
        assert [shape[0] for shape in net.shapes] == [2]  # what is asked for comes first
        with pytest.raises(ValueError, match="batch_size is 0"):
            verb(net, many[:2], batch_size=0)


def test_small_pictures_that_the_net_enlarges_come_in_small_batches_too():
    net = Sees()
    large = tl.Backbone("sees", Preprocess(224, 3, (0,) * 3, (1,) * 3), net, 3)
    tl.extract_features(large, random_images(40, size=28), device="cpu")
    assert net.shapes == [(16, 3, 224, 224), (16, 3, 224, 224), (8, 3, 224, 224)]
    assert all(net.are_channels_last)  # grey pictures, repeated for three channels, too


def test_bytes_are_pictures_divided_by_255():
    model = tl.TransferModel(tl.backbone("small-cnn"), 3)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1)).astype(np.uint8)
    scaled = (pixels / 255).astype(np.float32)
    assert_allclose(tl.predict(model, pixels), tl.predict(model, scaled), atol=1e-6)
    counts = np.array([[0, 3, 200]], dtype=np.uint8)  # rows are numbers, not pixels
    assert_allclose(tl.predict(nn.Identity(), counts), counts)


class Keeps(nn.Module):
    """A net that makes a tensor when it first runs, and keeps it."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(3, 2), None

    def forward(self, rows):
        """Map rows to logits."""
        if self.scale is None:
            self.scale = torch.ones(3)
        return self.layer(rows) + (self.scale * self.layer.weight).sum()


def test_a_net_that_has_predicted_can_be_trained_by_plain_pytorch():
    net = Keeps()
    tl.predict(net, np.ones((4, 3)), device="cpu")
    net(torch.ones(4, 3)).sum().backward()
    assert net.layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("wrong", [255 * random_images(2), 4 * random_images(2) - 2, [np.nan]])
def test_pictures_outside_0_to_1_are_refused(wrong):
    images = np.broadcast_to(np.asarray(wrong, np.float32), (2, 32, 32, 1))
    for verb in (tl.predict, tl.extract_features):
        with pytest.raises(ValueError, match=r"images span \[.*give them in \[0, 1\], or as bytes"):
            verb(tl.backbone("small-cnn"), images)
    assert tl.predict(Sees(), 1.08 * random_images(2)).shape == (2, 1)  # sharp resampling


@pytest.mark.parametrize("k", [2, 4, 10])
@pytest.mark.parametrize("loss", [F.cross_entropy, tl.SmallLoss(0.2)])
def test_a_model_with_other_outputs_than_classes_is_refused(k, loss):
    model = perceptron(k=k)
    before = copy.deepcopy(model[0].weight)
    with pytest.raises(ValueError, match=f"model has {k} outputs, but train has 3 classes"):
        tl.fit(model, rows(), loss=loss)
    assert torch.equal(model[0].weight, before)


def test_a_loss_that_reads_labels_otherwise_may_have_any_outputs():
    table = torch.randn(40, 2)
    numbered = Domain("rows", rows().inputs, np.arange(40), tuple(map(str, range(40))))
    history = tl.fit(
        perceptron(k=2),
        numbered,
        epochs=1,
        loss=lambda outputs, row: F.mse_loss(outputs, table[row]),
        labels_are_classes=False,
    )
    assert history.steps == 2


def test_a_layer_that_never_ran_is_refused_in_plain_words():
    iris = load("iris")
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.LazyLinear(3))
    with pytest.raises(ValueError, match="parameter '1.weight' has no shape yet.*call the model"):
        tl.fit(model, iris, steps=1)
    model(torch.zeros(1, 4))
    assert tl.fit(model, iris, steps=1).steps == 1


def test_inputs_of_another_shape_are_refused_in_plain_words():
    wide = np.zeros((4, 7), dtype=np.float32)
    with pytest.raises(ValueError, match=r"model cannot take inputs of shape \(n, 7\): mat1"):
        tl.predict(perceptron(), wide)
    with pytest.raises(ValueError, match=r"model cannot take inputs of shape \(n, 7\)"):
        tl.fit(perceptron(), Domain("wide", wide, np.arange(4) % 3, tuple("abc")))
    with pytest.raises(ZeroDivisionError):
        tl.predict(Fails(), wide)


def in_bfloat16(device, mixed):
    """Stand in for the precision of a GPU on a CPU."""
    context = torch.autocast("cpu", torch.bfloat16, enabled=mixed)
    return context, torch.amp.GradScaler("cpu", enabled=mixed)


def test_mixed_precision_computes_in_16_bits_and_returns_32(monkeypatch):
    model, images = tl.TransferModel(tl.backbone("small-cnn"), 3), random_images(6)
    wanted = tl.predict(model, images)
    assert np.array_equal(tl.predict(model, images, mixed_precision=True, device="cpu"), wanted)
    monkeypatch.setattr(training, "_make_precision", in_bfloat16)
    for verb in (tl.predict, tl.extract_features):
        exact = verb(model, images)
        rounded = verb(model, images, mixed_precision=True)
        assert rounded.dtype == np.float32
        assert not np.array_equal(rounded, exact)
        assert_allclose(rounded, exact, atol=0.02 * np.abs(exact).max())


def test_training_in_mixed_precision_scales_the_loss_and_keeps_the_weights_in_32(monkeypatch):
    monkeypatch.setattr(training, "_make_precision", in_bfloat16)
    finals, seen = [], []
    for mixed in (False, True):
        model = perceptron()
        model[4].register_forward_hook(lambda *call: seen.append(call[2].dtype))
        history = tl.fit(model, rows(), epochs=20, lr=1e-2, mixed_precision=mixed)
        finals.append(history.loss[-1])
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert set(seen) == {torch.float32, torch.bfloat16}
    seen.clear()
    tl.fit(model, rows(), steps=1)  # model has the hook; 32 bits unless asked otherwise
    assert set(seen) == {torch.float32}
    assert finals[0] != finals[1]
    assert finals[1] == pytest.approx(finals[0], rel=0.1)


def test_the_scaler_and_the_16_bits_are_for_a_cuda_gpu_that_asks_for_them(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for device, mixed in ((cpu, True), (cpu, False), (cuda, False)):
        context, scaler = training._make_precision(device, mixed)
        assert not isinstance(context, torch.autocast) and not scaler.is_enabled()
    made = []
    monkeypatch.setattr(torch, "autocast", lambda *arguments: made.append(arguments))
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *a, enabled: made.append((*a, enabled)))
    for modern in (True, False):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation, modern=modern: modern and not including_emulation,
        )
        training._make_precision(cuda, True)
    assert made == [
        *(("cuda", torch.bfloat16), ("cuda", False)),
        *(("cuda", torch.float16), ("cuda", True)),
    ]


def test_a_tensor_has_the_numbers_in_the_nets_order_of_axes():
    cpu = torch.device("cpu")
    wanted = np.arange(24).reshape(1, 2, 4, 3) / 24
    for images in (wanted, wanted.astype(np.float32), np.asfortranarray(wanted)):
        tensor = training.to_tensor(images, cpu)
        assert tensor.dtype == torch.float32 and tensor.shape == (1, 3, 2, 4)
        assert tensor.is_contiguous()
        assert_allclose(tensor.permute(0, 2, 3, 1), wanted, rtol=1e-6)
    bytes_ = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    tensor = training.to_tensor(bytes_, cpu)
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor.permute(0, 2, 3, 1), torch.arange(24.0).reshape(1, 2, 4, 3) / 255)
    assert training.to_tensor(np.zeros((0, 2, 2, 1)), cpu).shape == (0, 1, 2, 2)
    inputs, labels = training.to_batch(rows(), np.array([3, 1]), cpu)
    assert_allclose(inputs, rows().inputs[[3, 1]])
    assert labels.tolist() == [0, 1] and labels.dtype == torch.int64


def test_a_gpu_takes_more_pictures_at_once():
    sizes = [
        training.usual_batch(nn.Identity(), (448, 448, 3), torch.device(kind))
        for kind in ("cpu", "cuda")
    ]
    assert sizes == [4, 66]


def test_pictures_of_another_shape_are_refused_in_plain_words():
    message = (
        r"inputs of shape \(n, 1, 5, 5\): .*\. Give inputs of the shape that it was made for.$"
    )
    with pytest.raises(ValueError, match=message):
        tl.predict(nn.Conv2d(3, 4, 3), random_images(2, size=5), device="cpu")


def test_what_is_evaluated_and_how_patient_is_checked_by_name():
    with pytest.raises(TypeError, match="^domain is a int"):
        tl.evaluate(perceptron(), 3)
    with pytest.raises(ValueError, match="^patience is 0"):
        tl.fit(perceptron(), rows(), rows(), patience=0)


def test_a_cycle_of_one_update_is_one_of_two_as_pytorch_needs():
    model = nn.Linear(1, 1)
    one, two = (make_optimiser(model, 0.1, 0.0, steps)[1] for steps in (1, 2))
    assert one.total_steps == two.total_steps == 2
    assert make_optimiser(model, 0.1, 0.0, 3)[1].total_steps == 3


BAD = [
    ({"epochs": 0}, ValueError, "epochs is 0; it must be an integer >= 1"),
    ({"steps": 2.5}, ValueError, "steps is 2.5"),
    ({"batch_size": 0}, ValueError, "batch_size is 0"),
    ({"patience": 2}, ValueError, "patience is 2, but there is no validation set"),
    ({"lr": 0}, ValueError, "lr is 0; rates must be > 0"),
    ({"lr": {"0.*": 1e-3}}, ValueError, "has no rate for the parameter '1.weight'"),
    ({"lr": {"*": 1e-3, "heed.*": 1e-3}}, ValueError, "pattern 'heed.\\*' matches none"),
    ({"train": 3}, TypeError, "train is a int; give a tlcourse.data.Domain"),
    ({"validation": 3}, TypeError, "validation is a int"),
    ({"train": rows().subset([])}, ValueError, "train has no examples"),
    ({"model": len}, TypeError, "model is a builtin_function_or_method; give a"),
    ({"model": tl.freeze(perceptron(), "*")}, ValueError, "all are frozen; unfreeze some first"),
    ({"device": "quantum"}, ValueError, "device is 'quantum', which cannot be used here"),
]


@pytest.mark.parametrize(
    ("wrong", "error", "message"), BAD, ids=[message.replace("\\", "") for *_, message in BAD]
)
def test_bad_arguments_are_refused(wrong, error, message):
    arguments = {"model": perceptron(), "train": rows()} | wrong
    with pytest.raises(error, match=message):
        tl.fit(**arguments)


@pytest.mark.parametrize("inputs", [np.zeros((0, 5)), np.zeros(5), np.zeros((2, 3, 4))])
def test_predict_refuses_other_shapes(inputs):
    with pytest.raises(ValueError, match="give at least one image"):
        tl.predict(perceptron(), inputs)
