"""A network trained on the diagnoses, whose probabilities are features of the trees.

A network knows the images that it was trained on by heart, so trees that learn from its answers to them would trust it
too much. The training side is therefore cut into folds by lesion, and each image is answered by the network that was
trained without its fold. All other images get the mean of all networks, or, with `refit`, the answer of one more that
is trained on the whole training side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.data.augmentation.batch import augment_batch, draw_key
from ham_keras.data.folds import make_folds
from ham_keras.data.pipeline import THREADS, map_graph
from ham_keras.data.records import Record
from ham_keras.diagnosis.config import NetworkSettings
from ham_keras.diagnosis.encoders import build_pooled_encoder
from ham_keras.diagnosis.trees import Floats, Labels, class_weights
from ham_keras.errors import HamError
from ham_keras.models.precision import choose_precision, dtype_policy
from ham_keras.runs import Run
from ham_keras.training.checkpoint import save_all_weights
from ham_keras.trust.file import file_digest

BATCH_SIZE = 64  # of predictions
LEAST_PROBABILITY = 1e-6
Crops = npt.NDArray[np.uint8]  # [N, S, S, 3]


def network_names(classes: Sequence[str]) -> list[str]:
    """The names of its features: the logarithm of the probability of each diagnosis."""
    return [f"network_{name}" for name in classes]


class TrainedNetworks:
    """The networks that answer new images, in float32."""

    def __init__(self, models: Sequence[keras.Model]) -> None:
        self.models = list(models)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def answer(crops: tf.Tensor) -> tf.Tensor:
            pixels = tf.cast(crops, tf.float32)
            answers = [tf.maximum(model(pixels, training=False), LEAST_PROBABILITY) for model in self.models]
            return tf.add_n([tf.math.log(each) for each in answers]) / len(answers)

        self._answer = answer

    def __call__(self, crops: Crops) -> Floats:
        """The mean of the networks' log-probabilities [N, K] of crops."""
        parts = [self._answer(crops[first : first + BATCH_SIZE]) for first in range(0, len(crops), BATCH_SIZE)]
        return np.concatenate(parts)


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
    """Train one network per fold of the training side, and with `refit` one on all of it, saved when they are trained.

    Returns:
        the networks that answer new images, and the log-probabilities [N, K] of the training crops, each by the
        network that has not seen it.

    Raises:
        HamError: the encoder's weights are not available, or there are fewer lesions than folds.
    """
    place = {record.image_id: index for index, record in enumerate(records)}
    folds = make_folds(records, settings.folds, seed=settings.seed)
    # What each network is not trained on: with `refit`, the last one is trained on everything.
    kept_back = [*folds, []] if settings.refit else folds
    held_out = [np.array([place[image_id] for image_id in ids], int) for ids in kept_back]
    unseen = np.empty((len(records), classes), np.float32)
    models = []
    for number, fold in enumerate(held_out):
        used = np.setdiff1d(np.arange(len(records)), fold)
        path = network_path(folder, number)
        if not path.exists():
            if visible:
                counts = f"{len(used)} crops, {settings.epochs} epochs"
                print(f"network {number + 1} of {len(held_out)}: {counts}", flush=True)
            ids = [records[index].image_id for index in used]
            _train(path, settings, run, config, crops[used], labels[used], ids, classes, number, visible=visible)
        model = load_network(path, settings, run, config, classes)
        if len(fold):
            unseen[fold] = TrainedNetworks([model])(crops[fold])
        models.append(model)
    return TrainedNetworks(models[settings.folds :] or models), unseen


def network_path(folder: Path, number: int) -> Path:
    """The weights of one fold, or, numbered after them, of the whole training side."""
    return folder / f"network_{number}.weights.h5"


def answering_paths(folder: Path, settings: NetworkSettings) -> list[Path]:
    """The weights of the networks that answer new images."""
    return [network_path(folder, number) for number in ([settings.folds] if settings.refit else range(settings.folds))]


def network_digests(folder: Path, settings: NetworkSettings) -> dict[str, str]:
    """SHA-256 of the weights of the networks that answer new images, by file name.

    Raises:
        HamError: a file is missing.
    """
    paths = answering_paths(folder, settings)
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise HamError(f"{missing}: is missing; run diagnose with --overwrite")
    return {path.name: file_digest(path) for path in paths}


def load_network(path: Path, settings: NetworkSettings, run: Run, config: Config, classes: int) -> keras.Model:
    """Rebuild a trained network in float32 and load its weights.

    Raises:
        HamError: the file is damaged.
    """
    with dtype_policy("float32"):
        model = build_network(settings, run, config, classes, load=False)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0]
        raise HamError(f"{path}: not the weights of this network ({first}); run diagnose with --overwrite") from None
    return model


def load_networks(folder: Path, settings: NetworkSettings, run: Run, config: Config, classes: int) -> TrainedNetworks:
    """The networks that answer new images."""
    return TrainedNetworks(
        [load_network(path, settings, run, config, classes) for path in answering_paths(folder, settings)]
    )


def _train(
    path: Path,
    settings: NetworkSettings,
    run: Run,
    config: Config,
    crops: Crops,
    labels: Labels,
    ids: Sequence[str],
    classes: int,
    number: int,
    *,
    visible: bool,
) -> None:
    seed = settings.seed + number
    keras.utils.set_random_seed(seed)
    with dtype_policy(choose_precision("auto")):
        model = build_network(settings, run, config, classes)
    weights = class_weights(labels, classes, settings.class_weight_power)[labels].astype(np.float32)
    steps = -(-len(crops) // settings.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps * settings.epochs)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    examples = tf.constant(crops), tf.constant(labels), tf.constant(weights)
    batches = augmented_batches(examples, settings, ids, seed)
    verbose = 2 if visible else 0
    model.fit(batches, epochs=settings.epochs, steps_per_epoch=steps, shuffle=False, verbose=verbose)
    save_all_weights(model, path)


def augmented_batches(
    examples: tuple[tf.Tensor, ...], settings: NetworkSettings, ids: Sequence[str], seed: int
) -> tf.data.Dataset:
    """The augmented batches of all epochs: crops, labels and weights. Order and augmentation as in segmentation."""

    def draw(purpose: str) -> npt.NDArray[np.int64]:
        epochs = range(settings.epochs)
        return np.array([[draw_key(seed, epoch, image_id, purpose) for image_id in ids] for epoch in epochs])

    keys = draw("augment")
    order = np.argsort(draw("order"))
    epochs = tf.data.Dataset.from_tensor_slices((order, np.take_along_axis(keys, order, 1)))
    batches = epochs.flat_map(lambda *epoch: tf.data.Dataset.from_tensor_slices(epoch).batch(settings.batch_size))

    def vary(places: tf.Tensor, batch_keys: tf.Tensor) -> tuple[tf.Tensor, ...]:
        crops, labels, weights = (tf.gather(each, places) for each in examples)
        with_mask = tf.pad(crops, [[0, 0], [0, 0], [0, 0], [0, 1]])  # moved with the image; there is none
        return augment_batch(with_mask, batch_keys, settings.augment)[0], labels, weights

    return map_graph(batches, vary, THREADS).prefetch(1)
