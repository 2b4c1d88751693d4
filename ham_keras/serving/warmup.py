"""Warm-up requests, which TensorFlow Serving runs before it reports a model as ready: no client waits for tracing.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

IMAGE_SIZE_PX = (450, 600)  # height and width of HAM10000's images
BATCH_SIZES = (1, 16)
Size = tuple[int, int]  # height and width in pixels


def save_warmup_requests(
    path: Path, model_name: str, signatures: Collection[str], size: Size, threshold: float
) -> None:
    """Write a TFRecord of PredictionLogs that calls each of these signatures with one image and with a batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in warmup_inputs(size, threshold):
            if signature not in signatures:
                continue
            tensors = {name: tf.make_tensor_proto(value) for name, value in inputs.items()}
            spec = ModelSpec(name=model_name, signature_name=signature)
            request = PredictRequest(model_spec=spec, inputs=tensors)
            writer.write(PredictionLog(predict_log=PredictLog(request=request)).SerializeToString())


def warmup_inputs(size: Size, threshold: float) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield (signature, inputs), all of grey images; `size` is the network's."""
    grey = np.full((*IMAGE_SIZE_PX, 3), 128, np.uint8)
    jpeg = tf.io.encode_jpeg(grey).numpy()
    for count in BATCH_SIZES:
        yield "serving_default", {"images": np.stack([grey] * count)}
        files = {"image_bytes": np.array([jpeg] * count, object)}
        yield "serve_bytes", files
        yield "serve_bytes_threshold", {**files, "threshold": np.full(count, threshold, np.float32)}
        yield "serve_network", {"images": np.full((count, *size, 3), 128, np.float32)}
