"""Parameter transfer: which layers learn, how fast, and how far from where they started.

Design choices
--------------
- A "layer" is what a reader of a net's paper would count: a layer with weights, with the
  normalisation that follows it.
- Names and meanings are those of the PyTorch door.
"""

from __future__ import annotations

from tlcourse.keras.devices import keras, tf
from tlcourse.keras.freezing import freeze, named_layers, unfreeze
from tlcourse.layering import CopyReport, check_depth, compare_weights, falling_rates


def layers(model: keras.Model) -> dict[str, tuple[str, ...]]:
    """Group a model's innermost layers by depth.

    Parameters
    ----------
    model : keras.Model
        Any model.

    Returns
    -------
    dict of str to tuple of str
        From the input to the head: the first name of each group, and all names in it.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.layers(tl.backbone("small-cnn"))["block4_conv"]
    ('block4_conv', 'block4_norm')
    """
    groups = {}
    for name, layer in named_layers(model).items():
        if not layer.weights:
            continue
        if groups and "Normalization" in type(layer).__name__:
            groups[list(groups)[-1]] += (name,)
        else:
            groups[name] = (name,)
    return groups


def layer_names(model: keras.Model) -> list[str]:
    """List a model's layers from the input to the head.

    Parameters
    ----------
    model : keras.Model
        Any model.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.layer_names(tl.TransferModel(tl.mlp((4,), [8, 6]), 3))
    ['backbone.dense1', 'backbone.dense2', 'head']
    """
    return list(layers(model))


def unfreeze_last(model: keras.Model, k: int) -> keras.Model:
    """Freeze a model but for its last layers.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    k : int
        How many layers may learn, the head included.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ValueError
        If ``k`` is not between 1 and the number of layers.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> model = tl.TransferModel(tl.mlp((4,), [8, 6]), 3)
    >>> tl.count_parameters(tl.unfreeze_last(model, 2), trainable=True)  # 6 * 9 and 3 * 7
    75
    """
    groups = layers(model)
    check_depth("k", k, len(groups), least=1)
    freeze(model, "*")
    for members in list(groups.values())[-k:]:
        unfreeze(model, *members)
    return model


def layer_rates(model: keras.Model, top: float, decay: float = 2.6) -> dict[str, float]:
    """Give each layer a learning rate that falls from the head to the input.

    Parameters
    ----------
    model : keras.Model
        Any model.
    top : float
        Learning rate of the head.
    decay : float
        Ratio of the rates of neighbouring layers, at least 1; the paper's is 2.6.

    Returns
    -------
    dict of str to float
        One rate for each layer name, for ``fit(..., lr=...)``.

    Raises
    ------
    ValueError
        If ``top`` is not positive or ``decay`` is below 1.

    References
    ----------
    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
    section 3.2.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> tl.layer_rates(tl.TransferModel(tl.mlp((4,), [8]), 3), 0.1, decay=10)
    {'backbone.dense1': 0.01, 'head': 0.1}
    """
    groups = list(layers(model).values())
    rates = falling_rates(len(groups), top, decay)
    return {name: rate for members, rate in zip(groups, rates, strict=True) for name in members}


class L2SP:
    r"""Penalty on the distance from the starting point, for ``fit(..., penalty=...)``.

    .. math:: \Omega(w) = \frac{\alpha}{2} \lVert w_S - w_S^0 \rVert_2^2
              + \frac{\beta}{2} \lVert w_{\bar S} \rVert_2^2

    where :math:`w_S` are the parameters below the head, :math:`w_S^0` their values now, and
    :math:`w_{\bar S}` those of the fresh head.

    Parameters
    ----------
    model : keras.Model
        The model at its starting point.
    alpha, beta : float
        Strengths of the pulls towards the start, and of the head towards zero.

    Raises
    ------
    ValueError
        If a strength is negative.

    References
    ----------
    Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks", ICML 2018, equation 2.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> model = tl.TransferModel(tl.mlp((4,), [8]), 3)
    >>> penalty = tl.L2SP(model, alpha=0.1, beta=0.0)
    >>> float(penalty(model))
    0.0
    """

    def __init__(self, model: keras.Model, alpha: float = 0.1, beta: float = 0.01) -> None:
        if not (alpha >= 0 and beta >= 0):
            raise ValueError(f"alpha is {alpha!r} and beta {beta!r}; both must be >= 0.")
        self.alpha, self.beta = alpha, beta
        head = layers(model)[layer_names(model)[-1]]
        self.start = {
            variable.path: tf.constant(variable.numpy())
            for name, layer in named_layers(model).items()
            if name not in head
            for variable in layer.weights
        }

    def __call__(self, model: keras.Model) -> tf.Tensor:
        """Compute the penalty as a scalar tensor; frozen parameters cost nothing.

        Parameters
        ----------
        model : keras.Model
            The model under training.

        Returns
        -------
        tensor, scalar
        """
        penalty = tf.constant(0.0)
        for variable in model.trainable_variables:
            value = tf.convert_to_tensor(variable.value)
            if variable.path in self.start:
                pull = self.alpha / 2 * tf.reduce_sum((value - self.start[variable.path]) ** 2)
            else:
                pull = self.beta / 2 * tf.reduce_sum(value**2)
            penalty += pull
        return penalty


def copy_parameters(source: keras.Model, target: keras.Model) -> CopyReport:
    """Copy all weights that have the same layer name, place and shape.

    Parameters
    ----------
    source, target : keras.Model
        The target is changed in place.

    Returns
    -------
    CopyReport

    Raises
    ------
    ValueError
        If no parameter agrees; the target is left as it was.

    Examples
    --------
    >>> import tlcourse.keras as tl
    >>> old, new = (tl.TransferModel(tl.mlp((4,), [8]), k) for k in (5, 3))
    >>> print(tl.copy_parameters(old, new))
    copied 2, skipped 2
      head.kernel: shape: (8, 5) in the source, (8, 3) in the target
      head.bias: shape: (5,) in the source, (3,) in the target
    """
    given, wanted = _named_weights(source), _named_weights(target)
    shapes = [{name: tuple(w.shape) for name, w in net.items()} for net in (given, wanted)]
    report = compare_weights(
        shapes[0], shapes[1], [name for name in wanted if "moving_" not in name]
    )
    for name in report.copied:
        wanted[name].assign(given[name].numpy())
    return report


def _named_weights(model):
    """Name each weight by its layer and its place in it."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"a {type(model).__name__} was given; give a keras.Model.")
    return {
        f"{name}.{weight.name}": weight
        for name, layer in named_layers(model).items()
        for weight in layer.weights
    }
