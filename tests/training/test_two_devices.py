"""Training on several devices against one: two logical CPUs, which TensorFlow only has in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.config import to_json

TWO_CPUS = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
both = ["CPU:0", "CPU:1"]
"""

STATISTICS = """
import keras
import numpy as np
from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.training.step import prepare_step
images = np.array(json.loads(sys.argv[1]), np.float32)
with tf.distribute.MirroredStrategy(both).scope():
    image = keras.Input(images.shape[1:])
    layers = [kind(momentum=0.5) for kind in (keras.layers.BatchNormalization, BatchNormalization)]
    features = keras.layers.add([layer(image) for layer in layers])
    model = keras.Model(image, keras.layers.Conv2D(1, 1)(features))
    model.compile("sgd", loss="mse")
prepare_step(model, None, 1)
model.fit(tf.data.Dataset.from_tensors((images, images[..., :1])).unbatch().batch(len(images)), verbose=0)
statistics = [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]
print(json.dumps([[value.numpy().tolist() for value in variable.value.values] for variable in statistics]))
"""

GRADIENTS = """
import keras
import numpy as np
from ham_keras.models.devices import build_strategy
from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.training.step import prepare_step
images = np.array(json.loads(sys.argv[1]), np.float32)
masks = (images[..., :1] > 1).astype(np.float32)
batches = tf.data.Dataset.from_tensors((images, masks)).repeat(3).unbatch().batch(len(images))

def train(devices, synchronized):
    keras.utils.set_random_seed(0)
    with build_strategy(devices).scope():
        image = features = keras.Input(images.shape[1:])
        for _ in range(2):
            features = keras.layers.Conv2D(8, 3, padding="same")(features)
            features = keras.layers.ReLU()(BatchNormalization(momentum=0.9, synchronized=synchronized)(features))
        model = keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(features))
        model.compile(keras.optimizers.SGD(0.5), loss="binary_crossentropy")
    prepare_step(model, None, 3)
    model.fit(batches, shuffle=False, verbose=0)
    return np.concatenate([np.ravel(weight.numpy()) for weight in model.weights]).tolist()

print(json.dumps([train(["CPU:0"], False), train(both, True), train(both, False)]))
"""

TRAINING = """
from ham_keras.training import loop
from ham_keras.config import load_config
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.runs import open_run

def load(name, devices, *overrides):
    return load_config(sys.argv[1], [f"run.name={name}", "train.devices=" + json.dumps(devices), *overrides])

def run(config):
    with open_run(config) as run:
        return loop.train_run(config, run, sides, "float32", visible=False).history
"""

SAME_IMAGES = """
def train(config):
    # Each device gets the first half of the first batch, one device gets it once.
    devices = config.train.devices
    loop.make_train_dataset = lambda *args, **options: make_train_dataset(*args, **options).take(1).map(
        lambda *batch: tuple(tf.tile(part[:4], [len(devices), 1, 1, 1]) for part in batch)
    )
    return run(config)

make_train_dataset = loop.make_train_dataset
one, two, other = load("one", ["CPU:0"]), load("two", both), load("other", ["CPU:1"])
records = find_records(one.data.root).records
# The last batch of 13 images and that of 5 images are too small for two devices.
sides = {"train": records[:13], "val": records[13:18]}
history = {"one": train(one), "two": train(two), "other": train(other)}
for arguments in (both, "train.batch_size=3"), (both, "train.jit_compile=true"), (["GPU:1"],):
    try:
        train(load("wrong", *arguments))
    except HamError as error:
        print(error)
print(json.dumps(history))
"""

OTHER_IMAGES = """
records = find_records(load("any", both).data.root).records
sides = {"train": records[:16], "val": records[16:20]}
synchronized = "model.batchnorm_synchronized=true"
configs = [load("one", ["CPU:0"], synchronized), load("synchronized", both, synchronized), load("apart", both)]
print(json.dumps([run(config) for config in configs]))
"""


def output(*arguments: str) -> str:
    """What Python prints when it runs the code that is the first argument with the others."""
    done = subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_moving_statistics_are_the_mean_of_those_of_both_devices() -> None:
    """Also on the second device, with Keras' layer and ours, from 0 and 1 with a momentum of 0.5."""
    images = np.random.default_rng(0).normal(size=(4, 2, 2, 8))
    images[2:] = 3 + 2 * images[2:]  # another mean and variance on the second device
    found = json.loads(output(TWO_CPUS + STATISTICS, json.dumps(images.tolist())))
    halves = np.split(images, 2)
    mean = np.mean([part.mean((0, 1, 2)) for part in halves], axis=0)
    variance = np.mean([part.var((0, 1, 2)) for part in halves], axis=0)
    for values, expected in zip(found, [0.5 * mean, 0.5 + 0.5 * variance] * 2, strict=True):
        np.testing.assert_allclose(values, [expected, expected], rtol=1e-5)


@pytest.mark.slow
def test_two_devices_with_the_same_images_train_like_one(tiny: Any, tmp_path: Path) -> None:
    """Losses, metrics, clipped gradients, the weights' average and BatchNormalization's statistics are the same."""
    path = tmp_path / "two.json"
    settings = {"batch_size": 8, "optimizer": "adamw", "ema_momentum": 0.9, "clip_norm": 0.1}
    path.write_text(to_json(tiny(train=settings, model={"deep_supervision": True})))
    printed = output(TWO_CPUS + TRAINING + SAME_IMAGES, str(path))
    assert "train.batch_size: 3 of 13 images cannot be shared evenly among 2 devices" in printed
    assert "train.jit_compile: works on one device; " in printed
    assert "train.devices: no GPU:1 here; there are CPU:0, CPU:1\n" in printed
    history = json.loads(printed.splitlines()[-1])
    assert len(history["one"]) == len(history["two"]) == 2
    measured = [[{**row, "seconds": 0, "images_per_second": 0} for row in history[name]] for name in ("one", "other")]
    assert measured[0] == measured[1]
    for one, two in zip(history["one"], history["two"], strict=True):
        measured = {name for name in one if "seconds" not in name and "per_second" not in name}
        assert {"loss", "jaccard", "val_loss", "val_jaccard"} <= measured
        assert {name: two[name] for name in measured} == pytest.approx({name: one[name] for name in measured}, abs=2e-3)


@pytest.mark.slow
def test_synchronized_batchnorm_has_the_gradients_and_statistics_of_one_device() -> None:
    images = np.random.default_rng(0).normal(size=(8, 6, 6, 8))
    images[4:] = 3 + 2 * images[4:]
    one, synchronized, apart = map(np.array, json.loads(output(TWO_CPUS + GRADIENTS, json.dumps(images.tolist()))))
    np.testing.assert_allclose(synchronized, one, rtol=1e-5, atol=1e-6)
    assert np.abs(apart - one).max() > 0.01


@pytest.mark.slow
def test_synchronized_batchnorm_trains_on_other_images_like_one_device(tiny: Any, tmp_path: Path) -> None:
    """Up to rounding, which the layers with one pixel amplify: far closer than without synchronization."""
    path = tmp_path / "two.json"
    # With this epsilon a step is nearly the gradient; Adam's own makes a step of the sign of a rounding error.
    settings = {"batch_size": 8, "loss": "bce", "ema_momentum": 0.9, "adam_epsilon": 0.1, "learning_rate": 1e-3}
    path.write_text(to_json(tiny(train=settings)))
    printed = output(TWO_CPUS + TRAINING + OTHER_IMAGES, str(path))
    one, synchronized, apart = (
        np.array([[row["loss"], row["val_loss"]] for row in history])
        for history in json.loads(printed.splitlines()[-1])
    )
    assert (np.abs(synchronized - one) < 0.1 * np.abs(apart - one)).all()
