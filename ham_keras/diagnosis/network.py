"""A network trained on the diagnoses, whose probabilities are features of the trees.

A network knows the images that it was trained on by heart, so trees that learn from its answers to them would trust it
too much. The training side is therefore cut into folds by lesion, and each image is answered by the network that was
trained without its fold. All other images get the mean of all networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.data.folds import make_folds
from ham_keras.data.pipeline import map_graph
from ham_keras.data.records import Record
from ham_keras.diagnosis.config import NetworkSettings
from ham_keras.diagnosis.encoders import build_pooled_encoder
from ham_keras.diagnosis.trees import Floats, Labels, class_weights
from ham_keras.models.precision import choose_precision, dtype_policy
from ham_keras.runs import Run
from ham_keras.training.checkpoint import save_all_weights

BATCH_SIZE = 64  # of predictions
LEAST_PROBABILITY = 1e-6
Crops = npt.NDArray[np.uint8]  # [N, S, S, 3]


def network_names(classes: Sequence[str]) -> list[str]:
    """The names of its features: the logarithm of the probability of each diagnosis."""
    return [f"network_{name}" for name in classes]


class TrainedNetworks:
    """The networks of all folds, in float32."""

    def __init__(self, models: Sequence[keras.Model]) -> None:
        self.models = list(models)

    def __call__(self, crops: Crops) -> Floats:
        """The mean of the networks' log-probabilities [N, K] of crops."""
        return np.asarray(np.mean([log_probabilities(model, crops) for model in self.models], 0), np.float32)


def log_probabilities(model: keras.Model, crops: Crops) -> Floats:
    """The log-probabilities [N, K] of one network."""
    parts = [model(crops[first : first + BATCH_SIZE], training=False) for first in range(0, len(crops), BATCH_SIZE)]
    return np.log(np.maximum(np.concatenate(parts), LEAST_PROBABILITY))


def build_network(
    settings: NetworkSettings, run: Run, config: Config, classes: int, *, load: bool = True
) -> keras.Model:
    """Build a classifier: RGB crops 0..255 [N, S, S, 3] to float32 probabilities [N, K].

    `load` starts its encoder with the weights that `settings.encoder` names; `run` and `config` are the segmentation
    run's.
    """
    encoder, _ = build_pooled_encoder(settings.encoder, "network.encoder.weights", run, config, load=load)
    for layer in encoder.layers:
        for inner in getattr(layer, "layers", [layer]):
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.momentum = config.model.batchnorm_momentum
    dropped = keras.layers.Dropout(settings.dropout, seed=settings.seed)(encoder.output)
    logits = keras.layers.Dense(classes, dtype="float32")(dropped)
    return keras.Model(encoder.input, keras.layers.Softmax(dtype="float32")(logits))


def train_networks(
    folder: Path,
    settings: NetworkSettings,
    run: Run,
    config: Config,
    crops: Crops,
    labels: Labels,
    records: Sequence[Record],
    classes: int,
    *,
    visible: bool = True,
) -> tuple[TrainedNetworks, Floats]:
    """Train one network per fold of the training side, each saved in `folder` when it is trained.

    Returns:
        the networks, and the log-probabilities [N, K] of the training crops, each by the network that has not seen it.

    Raises:
        HamError: the encoder's weights are not available, or there are fewer lesions than folds.
    """
    folds = make_folds(records, settings.folds, seed=settings.seed)
    place = {record.image_id: index for index, record in enumerate(records)}
    unseen = np.empty((len(records), classes), np.float32)
    models = []
    for number, fold in enumerate(folds):
        held_out = np.array([place[image_id] for image_id in fold])
        used = np.setdiff1d(np.arange(len(records)), held_out)
        path = network_path(folder, number)
        if not path.exists():
            if visible:
                print(f"network {number + 1} of {len(folds)}: {len(used)} crops, {settings.epochs} epochs", flush=True)
            _train(path, settings, run, config, crops[used], labels[used], classes, number, visible=visible)
        model = load_network(path, settings, run, config, classes)
        unseen[held_out] = log_probabilities(model, crops[held_out])
        models.append(model)
    return TrainedNetworks(models), unseen


def network_path(folder: Path, number: int) -> Path:
    """The weights of one fold."""
    return folder / f"network_{number}.weights.h5"


def load_network(path: Path, settings: NetworkSettings, run: Run, config: Config, classes: int) -> keras.Model:
    """Rebuild a trained network in float32 and load its weights."""
    with dtype_policy("float32"):
        model = build_network(settings, run, config, classes, load=False)
    model.load_weights(path)
    return model


def load_networks(folder: Path, settings: NetworkSettings, run: Run, config: Config, classes: int) -> TrainedNetworks:
    """The networks of all folds."""
    paths = [network_path(folder, number) for number in range(settings.folds)]
    return TrainedNetworks([load_network(path, settings, run, config, classes) for path in paths])


def _train(
    path: Path,
    settings: NetworkSettings,
    run: Run,
    config: Config,
    crops: Crops,
    labels: Labels,
    classes: int,
    number: int,
    *,
    visible: bool,
) -> None:
    keras.utils.set_random_seed(settings.seed + number)
    with dtype_policy(choose_precision("auto")):
        model = build_network(settings, run, config, classes)
    weights = class_weights(labels, classes, settings.class_weight_power)[labels].astype(np.float32)
    steps = -(-len(crops) // settings.batch_size) * settings.epochs
    schedule = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    examples = tf.data.Dataset.from_tensor_slices((crops, labels, weights))
    examples = examples.shuffle(len(crops), seed=settings.seed + number).batch(settings.batch_size)
    seeds = tf.data.Dataset.random(seed=settings.seed + number).batch(2)

    def vary(example: tuple[tf.Tensor, tf.Tensor, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images, targets, sample_weights = example
        return augment(tf.cast(images, tf.float32), seed), targets, sample_weights

    varied = map_graph(tf.data.Dataset.zip(examples, seeds), vary, num_parallel_calls=1).prefetch(1)
    model.fit(varied, epochs=settings.epochs, shuffle=False, verbose=2 if visible else 0)
    save_all_weights(model, path)


def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Vary crops, float32 [N, S, S, 3] in 0..255: mirror, turn by 90 degrees, change brightness, contrast and hue.

    Each image of a batch is mirrored and its colour changed on its own; the quarter turn is the same for the batch.
    """
    seeds = tf.unstack(tf.random.split(seed, 6))
    count = tf.shape(images)[0]
    for axis, one in zip((1, 2), seeds[:2], strict=True):
        mirrored = tf.random.stateless_uniform([count, 1, 1, 1], one) < 0.5
        images = tf.where(mirrored, tf.reverse(images, [axis]), images)
    turns = tf.random.stateless_uniform([], seeds[2], 0, 4, tf.int32)
    images = tf.image.rot90(images, turns)
    contrast = tf.random.stateless_uniform([count, 1, 1, 1], seeds[3], 0.85, 1.15)
    shift = tf.random.stateless_uniform([count, 1, 1, 1], seeds[4], -20, 20)
    cast = tf.random.stateless_uniform([count, 1, 1, 3], seeds[5], 0.95, 1.05)
    return tf.clip_by_value(((images - 128) * contrast + 128 + shift) * cast, 0, 255)
