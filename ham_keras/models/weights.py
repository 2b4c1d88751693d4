"""Load encoder weights into a network: ImageNet weights, downloaded once, or weights from a file."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import keras

from ham_keras.errors import SettingError

KEY = "model.encoder_weights"


def load_encoder_weights(
    network: keras.Model, build_encoder: Callable[[str | None], keras.Model], weights: str
) -> None:
    """Copy encoder weights into the matching layers of `network`.

    Args:
        network: contains the encoder's layers.
        build_encoder: builds the encoder alone, with "imagenet" or random (None) weights.
        weights: "imagenet", or the path of an .h5 file with weights of the encoder without its top.

    Raises:
        SettingError: the weights are not in the Keras cache and cannot be downloaded, the file does not exist or is of
            another encoder, or `network` does not contain the encoder.
    """
    if weights == "imagenet":
        try:
            encoder = build_encoder("imagenet")
        except Exception as error:
            raise SettingError(KEY, _not_downloaded(str(error))) from None
    else:
        encoder = build_encoder(None)
        path = Path(weights)
        if not path.is_file():
            raise SettingError(KEY, f'{path}: no such file; expected "imagenet", null or an .h5 file')
        try:
            encoder.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            first = str(error).strip().splitlines()[0]
            raise SettingError(KEY, f"{path}: does not fit {encoder.name}: {first}") from None
    theirs, ours = layers_by_rank(encoder), layers_by_rank(network)
    if theirs.keys() - ours.keys():
        raise SettingError(KEY, f"{network.name} does not contain {encoder.name}; set it to null")
    for key, layer in theirs.items():
        ours[key].set_weights(layer.get_weights())


def layers_by_rank(model: keras.Model) -> dict[tuple[str, int], keras.Layer]:
    """Return the layers with weights by (name without its number, rank of that number).

    Keras keeps counting when it names layers: "conv2d_7" in one encoder is "conv2d_177" in the next, but each is the
    eighth of its encoder. No decoder has such layers.
    """
    groups: dict[str, list[tuple[int, keras.Layer]]] = defaultdict(list)
    for layer in model.layers:
        if layer.weights:
            prefix, _, number = layer.name.rpartition("_")
            if not number.isdecimal():
                prefix, number = layer.name, "0"
            groups[prefix].append((int(number), layer))
    return {
        (prefix, rank): layer
        for prefix, layers in groups.items()
        for rank, (_, layer) in enumerate(sorted(layers, key=lambda pair: pair[0]))
    }


def _not_downloaded(reason: str) -> str:
    url = re.search(r"https?://[^\s:]+", reason)
    tried = f"tried {url.group()}" if url else (reason.strip() or "no reason given").splitlines()[0]
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
    name = url.group().rsplit("/", 1)[-1] if url else "the file"
    return (
        f'"imagenet" could not be downloaded ({tried}); put {name} into {folder}, '
        f"name a local .h5 file, or train without it: model.encoder_weights=null"
    )
