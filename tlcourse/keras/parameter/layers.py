"""Parameter transfer: which layers learn, how fast, and how far from where they started.

Design choices
--------------
- A "layer" is what a reader of a net's paper would count: a layer with weights, with the
  normalisation that follows it.
- Names and meanings are those of the PyTorch door.
"""

from tlcourse.keras.devices import keras, tf
from tlcourse.keras.freezing import freeze, named_layers, unfreeze
from tlcourse.layering import CopyReport, check_depth, compare_weights, falling_rates


def layers(model):
    """Group a model's innermost layers by depth.

    Parameters
    ----------
    model : keras.Model
        Any model.

    Returns
    -------
    dict of str to tuple of str
        From the input to the head: the first name of each group, and all names in it.
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


def layer_names(model):
    """List a model's layers from the input to the head.

    Parameters
    ----------
    model : keras.Model
        Any model.

    Returns
    -------
    list of str
    """
    return list(layers(model))


def unfreeze_last(model, k):
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
        If the model has fewer layers, or ``k`` is below 1.
    """
    groups = layers(model)
    check_depth("k", k, len(groups), least=1)
    freeze(model, "*")
    for members in list(groups.values())[-k:]:
        unfreeze(model, *members)
    return model


def layer_rates(model, top, decay=2.6):
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
    """

    def __init__(self, model, alpha=0.1, beta=0.01):
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

    def __call__(self, model):
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
    """
    given, wanted = _named_weights(source), _named_weights(target)
    shapes = [{name: tuple(w.shape) for name, w in net.items()} for net in (given, wanted)]
    report = compare_weights(*shapes, [name for name in wanted if "moving_" not in name])
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
