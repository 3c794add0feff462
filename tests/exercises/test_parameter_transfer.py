"""Chapter 4's checks turn stubs and the usual wrong answers away."""

import numpy as np
import pytest
import torch
from torch import nn

from tlcourse.exercises import (
    Hint,
    check_batch_norm,
    check_discriminative_rates,
    check_interpolate,
    check_lora_layer,
    check_merge_lora,
)


def stub(*_):
    raise NotImplementedError


def mix(a, b, t):
    return {name: (1 - t) * a[name] + t * b[name] for name in a}


def in_place(a, b, t):
    for name in a:
        a[name] *= 1 - t
        a[name] += t * b[name]
    return a


def norm(
    x, mean, var, training, momentum, epsilon, *, below=0, running=1, ours=None, moves=True, root=0
):
    """BatchNorm with a slip for each argument by keyword."""
    if training if ours is None else ours:
        used = x.mean(0), x.var(0, ddof=below)
    else:
        used = mean, var
    outputs = (x - used[0]) / np.sqrt(used[1] + epsilon)
    if root:
        outputs = (x - used[0]) / (np.sqrt(used[1]) + epsilon)
    if training and moves:
        mean = (1 - momentum) * mean + momentum * x.mean(0)
        var = (1 - momentum) * var + momentum * x.var(0, ddof=running)
    return outputs, mean, var


def slip(**options):
    return lambda *arguments: norm(*arguments, **options)


def swapped(x, mean, var, training, momentum, epsilon):
    outputs = norm(x, mean, var, training, momentum, epsilon)[0]
    return outputs, *norm(x, mean, var, training, 1 - momentum, epsilon)[1:]


def always(x, mean, var, training, momentum, epsilon):
    outputs = norm(x, mean, var, training, momentum, epsilon)[0]
    return outputs, *norm(x, mean, var, True, momentum, epsilon)[1:]


def lists(x, mean, var, training, momentum, epsilon):
    if not training:
        x -= mean
        x /= np.sqrt(var + epsilon)
        return [x.tolist(), list(mean), list(var)]
    new = torch.from_numpy(x).var(0)
    outputs = (x - x.mean(0)) * (x.var(0) + epsilon) ** -0.5
    return (
        torch.from_numpy(outputs),
        mean + momentum * (x.mean(0) - mean),
        0.9 * var + 0.1 * new.numpy(),
    )


class Low(nn.Module):
    """LoRA as the page asks for it, with two layers."""

    bias, free, factor = False, False, None

    def __init__(self, base, rank, scale):
        super().__init__()
        self.base = base.requires_grad_(self.free)
        self.down = nn.Linear(base.in_features, rank, bias=self.bias)
        self.up = nn.Linear(rank, base.out_features, bias=self.bias)
        self.scale = scale / rank if self.factor is None else self.factor
        self.start()

    def start(self):
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.base(x) + self.scale * self.up(self.down(x))


class Matrices(nn.Module):
    """The same with two matrices that lie the other way round, the first of them zero."""

    def __init__(self, base, rank, scale):
        super().__init__()
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.base, self.scale = base, scale / rank
        self.a = nn.Parameter(torch.zeros(base.in_features, rank))
        self.b = nn.Parameter(torch.randn(rank, base.out_features))

    def forward(self, x):
        return nn.functional.linear(x, self.base.weight, self.base.bias) + (
            x @ self.a @ self.b * self.scale
        )


class Biased(Low):
    bias = True


class Learning(Low):
    free = True


class Unscaled(Low):
    factor = 1


class ByScale(Low):
    factor = 6


class Deaf(Low):
    factor = 0


class AtRandom(Low):
    def start(self):
        nn.init.normal_(self.up.weight)


class BothZero(Low):
    def start(self):
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.down.weight)


class ChangeAlone(Low):
    def forward(self, x):
        return self.scale * self.up(self.down(x))


class Bent(Low):
    def forward(self, x):
        return self.base(x) + self.scale * self.up(self.down(x).relu())


class Silent(Low):
    def forward(self, x):
        self.base(x)


class Tensors(Low):
    def start(self):
        down = self.down.weight.detach()
        del self.down
        self.down = lambda x: x @ down.T


def low(layer_class):
    return check_lora_layer(layer_class, nn.Linear(7, 5))


WRONG = [
    (check_batch_norm, stub, "no answer yet"),
    (check_batch_norm, lambda *a: None, "returns nothing"),
    (check_batch_norm, lambda *a: norm(*a)[0], "three things"),
    (check_batch_norm, lambda *a: (norm(*a)[0], 0.0, 1.0), "shape"),
    (check_batch_norm, slip(ours=True), "evaluation mode the running statistics normalise"),
    (check_batch_norm, always, "stay as they are"),
    (check_batch_norm, slip(root=1), "under the root"),
    (
        check_batch_norm,
        lambda x, m, v, t, p, e: ((x - m) / (v + e), *norm(x, m, v, t, p, e)[1:]),
        "square root",
    ),
    (check_batch_norm, lambda x, m, *a: (0 * x, *norm(x, m, *a)[1:]), "evaluation mode wanted"),
    (check_batch_norm, slip(ours=False), "the batch's own mean and variance normalise"),
    (check_batch_norm, slip(below=1), "n below the line"),
    (check_batch_norm, slip(moves=False), "each batch moves"),
    (check_batch_norm, swapped, "share of the new batch"),
    (check_batch_norm, slip(running=0), "n - 1 stands below"),
    (low, stub, "no answer yet"),
    (low, lambda base, rank, scale: None, "returns nothing"),
    (low, lambda base, rank, scale: base.weight, "inherits from nn.Module"),
    (low, lambda base, rank, scale: base, "would learn too"),
    (low, Learning, "would learn too"),
    (low, Biased, "without bias"),
    (low, Tensors, "nn.Parameter"),
    (low, BothZero, "both factors start at zero"),
    (low, AtRandom, "what the pretrained one does"),
    (low, ChangeAlone, "what the pretrained one does"),
    (low, Silent, "returns nothing"),
    (low, Unscaled, "scaled by scale / rank"),
    (low, ByScale, "divide scale by the rank"),
    (low, Deaf, "do not reach"),
    (low, Bent, "nothing between"),
    (check_discriminative_rates, stub, "no answer yet"),
    (check_discriminative_rates, lambda n, top, d: [top / d**i for i in range(n)], "turned round"),
    (
        check_discriminative_rates,
        lambda n, top, d: [top / d ** (n - i) for i in range(n)],
        "itself",
    ),
    (check_discriminative_rates, lambda n, top, d: [top * d**i for i in range(n)], "divide"),
    (check_discriminative_rates, lambda n, top, d: [top / d**i for i in range(n - 1)], "four"),
    (check_discriminative_rates, lambda n, top, d: [top] * n, "layer above"),
    (check_interpolate, stub, "no answer yet"),
    (check_interpolate, lambda a, b, t: mix(b, a, t), "swapped"),
    (check_interpolate, in_place, "changes a net"),
    (
        check_interpolate,
        lambda a, b, t: {n: v for n, v in mix(a, b, t).items() if "running" not in n},
        "every one",
    ),
    (
        check_interpolate,
        lambda a, b, t: {n: b[n] if "running" in n else v for n, v in mix(a, b, t).items()},
        "norm.running_mean is not",
    ),
    (check_merge_lora, stub, "no answer yet"),
    (check_merge_lora, lambda w, a, b, s: w + b @ a, "scaled by scale"),
    (check_merge_lora, lambda w, a, b, s: w + s * b @ a, "divide scale by the rank"),
    (check_merge_lora, lambda w, a, b, s: s / len(a) * b @ a, "add it to the weight"),
    (check_merge_lora, lambda w, a, b, s: w + s / len(b) * b @ a, "wanted is weight"),
    (check_merge_lora, lambda w, a, b, s: (w + b @ a).T, "shape"),
    (check_merge_lora, lambda w, a, b, s: np.add(w, s / 2 * b @ a, out=w) and None, "stops with"),
]

RIGHT = [
    (check_batch_norm, norm),
    (check_batch_norm, lists),
    (check_discriminative_rates, lambda n, top, d: [top / d ** (n - 1 - i) for i in range(n)]),
    (check_discriminative_rates, lambda n, top, d: tuple(top * d ** np.arange(1.0 - n, 1.0))),
    (check_interpolate, mix),
    (check_interpolate, lambda a, b, t: {n: (a[n] + t * (b[n] - a[n])).tolist() for n in b}),
    (check_merge_lora, lambda w, a, b, s: w + s / len(a) * b @ a),
    (
        check_merge_lora,
        lambda w, a, b, s: np.add(w, s / b.shape[1] * np.einsum("or,ri->oi", b, a), w),
    ),
    (low, Low),
    (low, Matrices),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_however_they_are_written(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out == "Right.\n"


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)
