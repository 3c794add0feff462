"""The playground's engine computes what PyTorch computes, and its files can be read."""

import base64
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn
from torch.nn import functional as F

import tlcourse.torch as tl
from tlcourse import data, weights

ROOT = Path(__file__).parent.parent
MODULES = ROOT / "book" / "_static" / "playground"
LETTERS = ROOT / "tlcourse" / "weights" / "letters.safetensors"
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import playground  # noqa: E402 - the folder has to be found first

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")

PRELUDE = """
import fs from "node:fs";
const all = {};
for (const name of ["random", "layers", "net", "optimiser", "training", "framing", "safetensors",
    "archive", "ways"]) Object.assign(all, await import(process.argv[1] + name + ".mjs"));
const load = (path) => all.readSafetensors(new Uint8Array(fs.readFileSync(path)));
const [, , folder, letters] = process.argv, given = load(folder + "/given.safetensors"), out = {};
const give = (name, data, shape) => { out[name] = { data: Float32Array.from(data), shape }; };
"""
POSTLUDE = '\nfs.writeFileSync(folder + "/out.safetensors", all.writeSafetensors(out));'


@pytest.fixture
def node(tmp_path):
    """Return a function that runs a script on named arrays and returns the arrays it gives."""

    def run(script, **arrays):
        given = {name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()}
        safetensors.numpy.save_file(
            given or {"none": np.zeros(1, np.float32)}, tmp_path / "given.safetensors"
        )
        code = PRELUDE + script + POSTLUDE
        done = subprocess.run(
            ["node", "--input-type=module", "-e", code, MODULES.as_uri() + "/", tmp_path, LETTERS],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return safetensors.numpy.load_file(tmp_path / "out.safetensors")

    return run


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(ours, theirs, tolerance=1e-4):
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else np.asarray(theirs)
    ours = ours.reshape(theirs.shape)
    assert np.abs(ours - theirs).max() <= tolerance * max(1, np.abs(theirs).max())


LAYERS = {  # name: our layer, PyTorch's, shape of the input, whether it trains
    "convolution": (
        "new all.Convolution(3, 5, 8, random)",
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        (2, 3, 8, 8),
    ),
    "convolution of odd sizes": (
        "new all.Convolution(2, 7, 3, random)",
        nn.Conv2d(2, 7, 3, padding=1, bias=False),
        (3, 2, 3, 3),
    ),
    "batch norm": ("new all.BatchNorm(4, 9)", nn.BatchNorm2d(4), (3, 4, 3, 3)),
    "frozen batch norm": ("new all.BatchNorm(4, 9)", nn.BatchNorm2d(4).eval(), (3, 4, 3, 3)),
    "relu": ("new all.Relu()", nn.ReLU(), (2, 3, 4, 4)),
    "maximum": ("new all.MaxPool(6)", nn.MaxPool2d(2), (2, 3, 6, 6)),
    "average": ("new all.AveragePool(4)", nn.AdaptiveAvgPool2d(1), (5, 3, 2, 2)),
    "linear": ("new all.Linear(7, 5, random)", nn.Linear(7, 5), (6, 7)),
}
LAYER = """
const random = new all.Random(0), layer = %s, n = given.x.shape[0];
for (const name of ["weight", "bias"]) if (given[name]) layer[name].data.set(given[name].data);
for (const [theirs, own] of [["running_mean", "runningMean"], ["running_var", "runningVariance"]])
  if (given[theirs]) layer[own].set(given[theirs].data);
const value = (x) => { // what the gradients are those of
  const y = layer.forward(x, n, %s);
  return y.reduce((sum, one, i) => sum + one * given.d.data[i], 0);
};
const y = layer.forward(given.x.data, n, %s);
give("y", y, [y.length]);
for (const own of ["runningMean", "runningVariance"])
  if (layer[own]) give(own, layer[own], [layer[own].length]);
const dx = layer.backward(given.d.data);
give("dx", dx, [dx.length]);
for (const name of ["weight", "bias"])
  if (layer[name]) give("d" + name, layer[name].grad, layer[name].shape);
const slope = (numbers, at, x = given.x.data) => {
  const was = numbers[at], step = 2 ** -7;
  numbers[at] = was + step; const above = value(x);
  numbers[at] = was - step; const below = value(x);
  numbers[at] = was;
  return (above - below) / (2 * step);
};
give("slopes_x", given.x.data.map((_, at) => slope(given.x.data, at)), [dx.length]);
for (const name of ["weight", "bias"]) if (layer[name])
  give("slopes_" + name, layer[name].data.map((_, at) => slope(layer[name].data, at)),
    layer[name].shape);
"""


@needs_node
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_and_its_gradients_are_pytorchs_and_finite_differences(node, name):
    ours, theirs, shape = LAYERS[name]
    x = random_array(*shape)
    if name in ("relu", "maximum"):  # no two numbers as near as the finite differences reach
        n = x.size
        x = (np.random.default_rng(0).permutation(n).reshape(shape) - n / 2 + 0.5) / 16
    x = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    if "norm" in name:
        with torch.no_grad():
            for place, numbers in enumerate((theirs.weight, theirs.bias, theirs.running_mean)):
                numbers.copy_(torch.tensor(random_array(4, seed=place)))
            theirs.running_var.copy_(torch.tensor([0.5, 1, 2, 3]))
    before = {
        key: value.clone().numpy() for key, value in theirs.state_dict().items() if value.ndim
    }
    y = theirs(x)
    d = random_array(*y.shape, seed=9)
    y.backward(torch.tensor(d))
    training = str(theirs.training).lower()
    found = node(LAYER % (ours, training, training), x=x.detach(), d=d, **before)
    assert_close(found["y"], y)
    assert_close(found["dx"], x.grad)
    assert_close(found["slopes_x"], x.grad, 5e-3)
    for key, parameter in theirs.named_parameters():
        assert_close(found[f"d{key}"], parameter.grad)
        assert_close(found[f"slopes_{key}"], parameter.grad, 5e-3)
    if "norm" in name:
        assert_close(found["runningMean"], theirs.running_mean)
        assert_close(found["runningVariance"], theirs.running_var)


@needs_node
def test_the_loss_and_its_gradient_are_pytorchs(node):
    logits, labels = 8 * random_array(6, 4), np.array([0, 3, 1, 2, 3, 3])
    tensor = torch.tensor(logits, requires_grad=True)
    loss = F.cross_entropy(tensor, torch.tensor(labels))
    loss.backward()
    found = node(
        "const { loss, d } = all.crossEntropy(given.logits.data, [...given.labels.data]);"
        'give("loss", [loss], [1]); give("d", d, [d.length]);',
        logits=logits,
        labels=labels,
    )
    assert_close(found["loss"], loss.reshape(1))
    assert_close(found["d"], tensor.grad)


def real_pictures(n):
    return data.load("handwritten-digits", n=n).inputs[..., 0]


@needs_node
@pytest.mark.parametrize(
    "pictures", [real_pictures, lambda n: np.random.default_rng(1).random((n, 32, 32))]
)
def test_the_letters_nets_logits_are_pytorchs(node, pictures):
    x = np.asarray(pictures(10), np.float32)
    found = node(
        "const net = new all.SmallCnn(26, 0).load(load(letters));"
        'give("y", net.forward(given.x.data, 10), [10, 26]);'
        "const inner = net.features(given.x.data, 10, 2);"
        'give("late", net.forward(inner, 10, { from: 2 }), [10, 26]);',
        x=x,
    )
    with torch.no_grad():
        logits = tl.source_model("letters")(torch.tensor(x)[:, None]).numpy()
    assert np.abs(found["y"] - logits).max() < 1e-4
    assert np.abs(found["late"] - logits).max() < 1e-4


TRAINED = """
const labels = [...given.labels.data], n = labels.length;
const net = new all.SmallCnn(26, 0).load(load(letters));
const parameters = net.learning(FROZEN), optimiser = new all.AdamW(parameters);
const lossAt = () => all.crossEntropy(net.forward(given.x.data, n, { training: true }), labels);
const { loss, d } = lossAt();
net.backward(d, FROZEN);
give("loss", [loss], [1]);
for (const [name, { grad, shape }] of Object.entries(net.state()))
  if (grad) give(name, grad, shape);
const ways = parameters.map((p) => p.grad.slice()); // steepest, so the difference is no noise
const length = Math.hypot(...ways.map((way) => Math.hypot(...way)));
const move = (step) => parameters.forEach((p, i) => {
  for (let j = 0; j < p.data.length; j++) p.data[j] += (step * ways[i][j]) / length;
});
const step = 2 ** -9;
move(step); const above = lossAt().loss; move(-2 * step); const below = lossAt().loss;
give("slope", [length, (above - below) / (2 * step)], [2]);
const fresh = new all.SmallCnn(26, 0).load(load(letters)), learning = fresh.learning(FROZEN);
const adam = new all.AdamW(learning);
for (let update = 0; update < 3; update++) {
  const again = all.crossEntropy(fresh.forward(given.x.data, n, { training: true }), labels);
  fresh.backward(again.d, FROZEN);
  adam.step(0.001);
}
for (const [name, { data, shape }] of Object.entries(fresh.state()))
  give("after." + name, Array.from(data, Number), shape);
"""


@needs_node
@pytest.mark.parametrize("frozen", [0, 2, 4])
def test_the_whole_nets_gradients_and_updates_are_pytorchs(node, frozen):
    x, labels = real_pictures(8), np.arange(8) % 5
    model = tl.source_model("letters").train()
    for depth in range(frozen):
        tl.freeze(model, f"backbone.body.block{depth + 1}")
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.001, weight_decay=0.01
    )
    losses, gradients = [], []
    for _ in range(3):
        loss = F.cross_entropy(model(torch.tensor(x)[:, None]), torch.tensor(labels))
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        gradients.append(
            {k: p.grad.clone() for k, p in model.named_parameters() if p.requires_grad}
        )
        optimiser.step()
    found = node(TRAINED.replace("FROZEN", str(frozen)), x=x, labels=labels)
    assert_close(found["loss"], losses[0].reshape(1))
    along, difference = found["slope"]
    assert difference == pytest.approx(along, rel=0.01)
    for name, gradient in gradients[0].items():
        scale = gradient.abs().max()
        assert_close(found[name] / float(scale), gradient / scale, 1e-3)
    still = {name for name in found if not name.startswith("after.") and "." in name} - set(
        gradients[0]
    )
    assert all(not found[name].any() for name in still)
    for name, tensor in model.state_dict().items():
        if "batches" not in name:
            assert_close(found[f"after.{name}"], tensor, 2e-3)


@needs_node
def test_random_numbers_follow_from_the_seed_and_spread_evenly(node):
    found = node("""
const draw = (seed) => new all.Random(seed).spread(5000, 1);
give("one", draw(1), [5000]); give("again", draw(1), [5000]); give("two", draw(2), [5000]);
give("order", new all.Random(3).order(100), [100]);""")
    assert np.array_equal(found["one"], found["again"])
    assert abs(np.corrcoef(found["one"], found["two"])[0, 1]) < 0.05
    assert np.histogram(found["one"], 10, (-1, 1))[0].min() > 400
    assert sorted(found["order"]) == list(range(100)) != found["order"].tolist()


RUN = """
const one = (i) => given.x.data.slice(i * 1024, i * 1024 + 1024);
const places = [...given.labels.data.keys()], labels = [...given.labels.data];
const own = places.filter((i) => i % 3), held = places.filter((i) => i % 3 === 0);
const task = { pictures: own.map(one), labels: own.map((i) => labels[i]),
  heldOut: { pictures: held.map(one), labels: held.map((i) => labels[i]) } };
const run = (way, seed, options = {}) => {
  const net = all.startingNet(way, 3, seed, load(letters));
  const settings = { ...task, ...all.WAYS[way], ...options, seed };
  return { net, reports: [...all.train(net, settings)] };
};
"""


@pytest.fixture
def three_digits():
    digits = data.load("handwritten-digits")
    rows = np.flatnonzero(np.isin(digits.labels, [1, 4, 7]))[:36]
    return {"x": digits.inputs[rows, ..., 0], "labels": (digits.labels[rows] - 1) // 3}


@needs_node
def test_the_same_seed_gives_the_same_net_and_another_one_another(node, three_digits):
    found = node(
        RUN
        + """
for (const [name, seed] of [["one", 1], ["again", 1], ["two", 2]]) {
  const { net, reports } = run("scratch", seed, { most: 4 });
  give(name, net.blocks[1].conv.weight.data, [4608]);
  give(name + ".losses", reports.map((report) => report.loss), [4]);
}""",
        **three_digits,
    )
    assert np.array_equal(found["one"], found["again"])
    assert np.array_equal(found["one.losses"], found["again.losses"])
    assert not np.array_equal(found["one"], found["two"])


@needs_node
def test_frozen_features_learn_and_stay_what_they_were(node, three_digits):
    found = node(
        RUN
        + """
const { net, reports } = run("frozen", 0), last = reports.at(-1);
const { finished, done, update, loss, heldOut } = last;
give("last", [finished, done, update, loss, heldOut.right, heldOut.of], [6]);
give("halfway", [reports.findIndex((report) => report.halfway) + 1], [1]);
for (const [name, { data, shape }] of Object.entries(net.state()))
  if (!name.includes("batches")) give(name, data, shape);
const limited = run("frozen", 0, { most: 7 }).reports;
give("limited", [limited.length, limited.at(-1).finished, limited.at(-1).done], [3]);""",
        **three_digits,
    )
    finished, done, updates, loss, right, of = found["last"]
    assert finished and done and loss < 0.1 and right >= 0.9 * of
    assert updates == 2 * found["halfway"][0]
    assert found["limited"].tolist() == [7, 0, 1]
    for name, before in weights.load_arrays("letters").items():
        if name.startswith("backbone") and "batches" not in name:
            assert np.array_equal(found[name], before), name


@needs_node
def test_a_net_that_starts_from_letters_learns_sooner_than_one_from_scratch(node, three_digits):
    found = node(
        RUN
        + """
for (const way of ["scratch", "tuned"]) {
  const last = run(way, 0, { most: 12 }).reports.at(-1);
  give(way, [last.heldOut.right / last.heldOut.of, last.loss], [2]);
}""",
        **three_digits,
    )
    assert found["tuned"][0] > found["scratch"][0] and found["tuned"][1] < 0.2


@needs_node
def test_pytorch_reads_the_exported_net_and_answers_as_the_page_does(node, three_digits, tmp_path):
    found = node(
        RUN
        + """
const { net } = run("tuned", 0, { most: 3 });
const file = all.writeSafetensors(net.state(), { classes: "1,4,7" });
fs.writeFileSync(folder + "/tuned.safetensors", file);
give("logits", net.forward(given.x.data, 36), [36, 3]);
const back = load(folder + "/tuned.safetensors");
give("back", new all.SmallCnn(3, 9).load(back).forward(given.x.data, 36), [36, 3]);""",
        **three_digits,
    )
    backbone = tl.backbone("small-cnn", weights=tmp_path / "tuned.safetensors")
    model = tl.TransferModel(backbone, 3)
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "tuned.safetensors"))
    logits = tl.predict(model, three_digits["x"][..., None], device="cpu")
    assert np.abs(logits - found["logits"]).max() < 1e-4
    assert np.array_equal(found["back"], found["logits"])
    assert backbone.state_dict()["body.block1.norm.num_batches_tracked"].dtype == torch.int64


ARCHIVE = """
const one = (i) => given.x.data.slice(i * 1024, i * 1024 + 1024);
const names = ["a/b", "A/B", "喵 ♥", "..", "con?"];
const classes = names.map((name, k) => ({ name, pictures: [one(4 * k), one(4 * k + 1)],
  heldOut: HELD_OUT ? [one(4 * k + 2)] : [one(4 * k + 2), one(4 * k + 3)].slice(2) }));
fs.writeFileSync(folder + "/drawings.zip", all.zip(all.pictureFiles(classes)));
"""


@needs_node
@pytest.mark.parametrize("held_out", [True, False])
def test_the_exported_drawings_are_a_folder_that_load_image_folder_reads(node, tmp_path, held_out):
    x = np.random.default_rng(0).random((20, 32, 32)).astype(np.float32)
    node(ARCHIVE.replace("HELD_OUT", str(held_out).lower()), x=x)
    with zipfile.ZipFile(tmp_path / "drawings.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "folder")
    sides = data.load_image_folder(
        tmp_path / "folder" / "drawings",
        size=32,
        channels=1,
        **({} if held_out else {"validation_share": 0.5}),
    )
    assert sorted(sides.train.class_names) == sorted(["a_b", "A_B 2", "喵 ♥", "class", "con_"])
    assert len(sides.train) == (10 if held_out else 5) and len(sides.validation) == 5
    read = np.concatenate([np.asarray(side.inputs)[..., 0] for side in sides])
    rows = np.arange(20)[np.arange(20) % 4 < (3 if held_out else 2)]
    for picture in x[rows]:
        assert np.abs(read - picture).max(axis=(1, 2)).min() <= 0.5001 / 255


@needs_node
def test_drawings_come_into_the_frame_whatever_their_place_and_size(node):
    found = node("""
const seven = (zoom, x, y) => [[[0, 0], [6, 0], [2, 9]], [[1, 5], [5, 5]]].map((line) =>
  line.map((point) => [x + zoom * point[0], y + zoom * point[1]]));
give("one", all.frameStrokes(seven(1, 0, 0)), [32, 32]);
give("other", all.frameStrokes(seven(17, 100, 40)), [32, 32]);
give("dot", all.frameStrokes([[[5, 5]]]), [32, 32]);
give("nothing", all.frameStrokes([]), [32, 32]);
const large = new Float32Array(96 * 80);
for (let y = 20; y < 90; y++) for (let x = 30; x < 50; x++) large[y * 80 + x] = 1;
give("pixels", all.framePixels(large, 80, 96), [32, 32]);
give("small", all.framePixels(new Float32Array([0, 0, 0, 0, 1, 0, 0, 1, 0]), 3, 3), [32, 32]);
give("empty", all.framePixels(new Float32Array(9), 3, 3), [32, 32]);""")
    assert np.abs(found["one"] - found["other"]).max() < 1e-5
    assert not found["nothing"].any() and not found["empty"].any()
    for name in ("one", "pixels", "small"):
        rows, columns = np.nonzero(found[name] > 0.5)
        assert 23 <= np.ptp(rows) + 1 <= 25, name
        assert abs(rows.mean() - 15.5) < 4 and abs(columns.min() + columns.max() - 31) <= 1
    assert 0 < found["dot"].sum() < 20 and found["dot"][15:17, 15:17].min() > 0.9


@needs_node
@pytest.mark.parametrize("dark_on_light", [True, False])
def test_the_border_of_a_picture_tells_which_is_the_ink(node, dark_on_light):
    found = node(
        """
const rgba = new Uint8ClampedArray(4 * 64).fill(255), paper = PAPER;
for (let at = 0; at < 64; at++) {
  const inside = [27, 28, 35, 36].includes(at), level = inside ? 255 - paper : paper;
  rgba.fill(level, 4 * at, 4 * at + 3);
}
give("ink", all.inkOf(rgba, 8, 8), [8, 8]);""".replace("PAPER", "230" if dark_on_light else "20")
    )
    assert found["ink"].sum() == 4 and found["ink"][3:5, 3:5].all()


@needs_node
def test_the_joined_script_is_the_modules_and_needs_none(node, tmp_path):
    (tmp_path / "joined.js").write_text(playground.bundle("training", "framing"), encoding="utf-8")
    (tmp_path / "page.js").write_text(playground.script(), encoding="utf-8")
    found = node("""
const text = fs.readFileSync(folder + "/joined.js", "utf8");
const { trainingModule, framingModule } = new Function(
  text + "return { trainingModule, framingModule };")();
const stroke = [[[0, 0], [4, 1], [2, 9]]], picture = framingModule.frameStrokes(stroke);
const net = (code) => code.startingNet("scratch", 4, 3, {});
give("joined", trainingModule.answer(net(trainingModule), picture), [4]);
give("modules", all.answer(net(all), all.frameStrokes(stroke)), [4]);
new Function(fs.readFileSync(folder + "/page.js", "utf8")); // can be read; needs a page to run""")
    assert np.array_equal(found["joined"], found["modules"])
    page = playground.script()
    assert "import {" not in page and "export " not in page
    assert page.count("class SmallCnn") == 1  # in the worker only


@pytest.mark.parametrize(
    "line", ['import * as all from "./net.mjs";', "export { a };", "export default 1;"]
)
def test_what_cannot_be_joined_is_refused(tmp_path, monkeypatch, line):
    (tmp_path / "odd.mjs").write_text(f"{line}\n", encoding="utf-8")
    monkeypatch.setattr(playground, "SOURCES", tmp_path)
    with pytest.raises(ValueError, match=r"odd\.mjs imports or exports"):
        playground.bundle("odd")


def test_the_embedded_net_is_the_letters_net_to_half_precision():
    text = playground.embedded_data().removeprefix("const playgroundFiles = ")
    files = json.loads(text.removesuffix(";\n"))
    state = safetensors.numpy.load(base64.b64decode(files["letters"]))
    model = tl.source_model("letters")
    pictures = torch.tensor(real_pictures(100))[:, None]
    with torch.no_grad():
        logits = model(pictures)
        for name, tensor in model.state_dict().items():
            if name.startswith("backbone") and tensor.ndim:
                half = state[name].view(np.float16).astype(np.float32)
                tensor.copy_(torch.tensor(half))
        changed = (model(pictures) - logits).abs().max()
    assert 0 < changed < 0.02
    digits = np.frombuffer(base64.b64decode(files["digits"]["pixels"]), np.uint8)
    assert digits.shape == (10 * files["digits"]["each"] * 64,) and digits.max() == 16
