"""Structure transfer: take over the architecture, whole or in part, with fresh or old parameters.

Design choices
--------------
- Every function returns a new model and leaves the source as it is.
- "Fresh" means made anew from the seed: no value of the source survives, BatchNorm's statistics
  included.
"""

from time import perf_counter

import numpy as np

from tlcourse.history import check_positive
from tlcourse.keras.freezing import named_layers
from tlcourse.keras.models import TransferModel, reseed
from tlcourse.keras.parameter import check_depth, layers
from tlcourse.keras.tensorflow_setup import keras, tf
from tlcourse.keras.training import cross_entropy, fit, predict


def fresh_copy(model, *, seed=0):
    """Copy a model's structure with fresh parameters.

    Parameters
    ----------
    model : TransferModel or keras.Model
        The structure.
    seed : int
        Seed of the new start.

    Returns
    -------
    TransferModel or keras.Model
    """
    if isinstance(model, TransferModel):
        return TransferModel(reseed(model.backbone, seed), model.head.units, seed=seed)
    return reseed(model, seed)


def copy_first(source, k, *, seed=0):
    """Copy the first k layers with their parameters, the rest fresh.

    Parameters
    ----------
    source : TransferModel or keras.Model
        Where structure and parameters come from.
    k : int
        Layers to copy, from 0 to all (see `tlcourse.keras.layers`).
    seed : int
        Seed of the fresh layers.

    Returns
    -------
    TransferModel or keras.Model

    Raises
    ------
    ValueError
        If the model has fewer layers.

    References
    ----------
    Yosinski, Clune, Bengio and Lipson, "How transferable are features in deep neural networks?",
    NIPS 2014.
    """
    groups = list(layers(source).values())
    check_depth("k", k, len(groups), least=0)
    copy = fresh_copy(source, seed=seed)
    given, taking = named_layers(source), named_layers(copy)
    for members in groups[:k]:
        for name in members:
            taking[name].set_weights(given[name].get_weights())
    return copy


def cut(model, layer):
    """Cut a net after a layer: a shallower backbone.

    Parameters
    ----------
    model : TransferModel or keras.Model
        Its backbone is cut; parameters are shared with it.
    layer : str
        Name of one of the backbone's layers, such as ``"block2_pool"``.

    Returns
    -------
    keras.Model
        Named ``"backbone"``; images are averaged over space.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    net = model.backbone if isinstance(model, TransferModel) else model
    known = [one.name for one in net.layers]
    if layer not in known:
        raise ValueError(f"layer is {layer!r}; the net has {', '.join(known[1:])}.")
    output = net.get_layer(layer).output
    if len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D(name=f"{layer}_average")(output)
    return keras.Model(net.input, output, name="backbone")


def distil(student, teacher, train, validation=None, *, temperature=4.0, weight=0.9, **fit_options):
    """Train a student on a teacher's softened predictions and the labels.

    The loss is ``weight * T² * KL(teacher || student) + (1 - weight) * cross-entropy``, both
    distributions of the first term softened by the temperature T. The teacher runs once.

    Parameters
    ----------
    student, teacher : keras.Model
        From inputs to logits of the same classes; the student is changed in place.
    train, validation : Domain
        Training and validation examples.
    temperature : float
        T, at least 1.
    weight : float
        Share of the teacher's term, in [0, 1].
    **fit_options
        Passed on to `fit`, but for ``loss``.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
    """
    if not temperature >= 1 or not 0 <= weight <= 1:
        raise ValueError(
            f"temperature is {temperature!r} and weight {weight!r}; temperature must be >= 1 and "
            "weight in [0, 1]."
        )
    start = perf_counter()
    soft = tf.constant(tf.nn.softmax(predict(teacher, train.inputs) / temperature))
    teaching = perf_counter() - start
    numbered = _Numbered(train)

    def loss(logits, rows):
        taught = tf.nn.softmax_cross_entropy_with_logits(
            labels=tf.gather(soft, rows), logits=logits / temperature)
        hard = cross_entropy(logits, tf.gather(numbered.truth, rows))
        return weight * temperature**2 * tf.reduce_mean(taught) + (1 - weight) * hard

    history = fit(student, numbered.domain, validation, loss=loss, **fit_options)
    history.seconds += teaching
    return history


class _Numbered:
    """A training set whose labels are row numbers, so that a loss can look rows up."""

    def __init__(self, domain):
        self.truth = tf.constant(domain.labels)
        names = tuple(f"row {row}" for row in range(len(domain)))
        self.domain = type(domain)(
            domain.name, domain.inputs, np.arange(len(domain)), names, domain.origin, domain.licence
        )


class SharedTrunk:
    """One backbone with a head for each of several tasks.

    Parameters
    ----------
    backbone : keras.Model
        Shared by all tasks.
    n_classes : dict of str to int
        Classes of each task.
    seed : int
        Seed of the heads.

    Attributes
    ----------
    tasks : dict of str to TransferModel
        For evaluation and prediction; they share the backbone.

    References
    ----------
    Caruana, "Multitask Learning", Machine Learning 28, 1997.
    """

    def __init__(self, backbone, n_classes, *, seed=0):
        if len(n_classes) < 2:
            raise ValueError(f"n_classes is {n_classes!r}; give at least two tasks.")
        self.tasks = {
            task: TransferModel(backbone, k, seed=seed + place)
            for place, (task, k) in enumerate(n_classes.items())
        }

    def fit(self, domains, *, rounds, steps=5, **fit_options):
        """Train all tasks in turn, a few updates each.

        Parameters
        ----------
        domains : dict of str to Domain
            Training examples of each task.
        rounds : int
            How often each task has its turn.
        steps : int
            Updates in a turn.
        **fit_options
            Passed on to `tlcourse.keras.fit`.

        Returns
        -------
        dict of str to list of float
            Mean loss of each turn.

        Raises
        ------
        ValueError
            If the tasks are not those of the trunk, or a number is below 1.
        """
        if set(domains) != set(self.tasks):
            raise ValueError(f"domains has {sorted(domains)}; the tasks are {sorted(self.tasks)}.")
        check_positive(rounds=rounds, steps=steps)
        losses = {task: [] for task in self.tasks}
        for turn in range(rounds):
            for task, model in self.tasks.items():
                history = fit(model, domains[task], steps=steps, seed=turn, **fit_options)
                losses[task] += [float(np.mean(history.loss))]
        return losses
