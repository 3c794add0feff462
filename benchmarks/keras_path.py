"""Measure what the Keras door costs over bare Keras, on photographs of 224 x 224 pixels.

    python benchmarks/keras_path.py

MobileNetV2 with random weights sees the same pictures in the same batches: by `predict`, by
`keras.Model.predict`, by a loop over the compiled net and by a loop over the net as it is called.
All are warm and run in turn, so that a busy machine slows them alike; the ratio is that of the
medians. Then the training step: `fit` against Keras' own ``train_on_batch``.
"""

import os
import resource
import time
from statistics import median

import numpy as np

import tlcourse.keras as tl
from tlcourse import data
from tlcourse.keras.devices import keras, tf

PICTURES, BATCH, REPEATS, STEPS = 96, 16, 5, 4


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(ways):
    """Run each way once to warm it up, then all in turn; return the median seconds of each."""
    for work in ways.values():
        work()
    runs = [{name: seconds(work) for name, work in ways.items()} for _ in range(REPEATS)]
    return {name: median(run[name] for run in runs) for name in ways}


def predicting(model, images):
    compiled = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return {
        "tlcourse predict": lambda: tl.predict(model, images),
        "keras.Model.predict": lambda: model.predict(images, batch_size=BATCH, verbose=0),
        "compiled loop": lambda: [compiled(tf.constant(batch)).numpy() for batch in batches],
        "loop, not compiled": lambda: [
            model(tf.constant(batch), training=False).numpy() for batch in batches
        ],
    }


def training(images):
    domain = data.Domain("noise", images, np.arange(len(images)) % 10, tuple("abcdefghij"))
    batches = len(images) // BATCH
    ours, bare = (tl.TransferModel(tl.backbone("MobileNetV2"), 10) for _ in range(2))
    bare.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def bare_steps(n):
        for place in range(n):
            rows = slice(place % batches * BATCH, (place % batches + 1) * BATCH)
            bare.train_on_batch(images[rows], domain.labels[rows])

    def step(run):
        """Seconds of one step, without those of the compilation."""
        return (seconds(lambda: run(STEPS + 1)) - seconds(lambda: run(1))) / STEPS

    bare_steps(1)
    return {
        "tlcourse fit": step(lambda n: tl.fit(ours, domain, steps=n, batch_size=BATCH)),
        "train_on_batch": step(bare_steps),
    }


def main():
    images = np.random.default_rng(0).random((PICTURES, 224, 224, 3), dtype=np.float32)
    model = tl.TransferModel(tl.backbone("MobileNetV2"), 10)
    found = in_turn(predicting(model, images))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{PICTURES} pictures of 224 x 224, batches of {BATCH}, {REPEATS} repeats, TensorFlow "
        f"{tf.__version__}, Keras {keras.__version__}, "
        f"{os.environ.get('TF_NUM_INTRAOP_THREADS', 'all')} thread(s)"
    )
    ours = found["tlcourse predict"]
    for name, taken in found.items():
        print(f"{name:22} {1e3 * taken / PICTURES:7.1f} ms a picture   ratio {taken / ours:.3f}")
    print("(a ratio above 1: tlcourse is faster)")
    print(f"peak memory of the process {peak:.2f} GB, pictures {images.nbytes / 1e9:.2f} GB")
    steps = training(images)
    for name, taken in steps.items():
        print(f"{name:22} {1e3 * taken:7.0f} ms a step of {BATCH} pictures")


if __name__ == "__main__":
    main()
