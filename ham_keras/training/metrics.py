"""Training metrics: segmentation_models' IoU, and the mean Jaccard index that is used to compare runs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from ham_keras.models.qubvel import segmentation_models as sm

IOU_SCORE = sm.metrics.IOUScore(threshold=0.5)


@keras.saving.register_keras_serializable("ham_keras")
def iou_score(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """segmentation_models' IoU of a whole batch at threshold 0.5."""
    return IOU_SCORE(mask, probability)


@keras.saving.register_keras_serializable("ham_keras")
class MeanJaccard(keras.metrics.Metric):
    """Mean over images of the Jaccard index between (probability > threshold) and the mask.

    An image whose mask and prediction are both empty scores 1. Sums are float64, so the result equals the score from
    `ham_keras.scores` to 1e-6 for any batch size. segmentation_models' IoU is averaged over batches and depends on
    their size.
    """

    def __init__(self, threshold: float = 0.5, name: str = "jaccard", dtype: str = "float64") -> None:
        super().__init__(name=name, dtype=dtype)
        self.threshold = threshold
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.images = self.add_variable((), "zeros", dtype="float64", name="images")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Add a batch: masks [N, H, W, 1] in {0, 1}, probabilities of the same shape."""
        truth = tf.cast(y_true, tf.float32) > 0.5
        lesion = tf.cast(y_pred, tf.float32) > self.threshold
        pixels = tuple(range(1, len(y_pred.shape)))
        intersection = tf.math.count_nonzero(truth & lesion, axis=pixels)
        union = tf.math.count_nonzero(truth | lesion, axis=pixels)
        jaccard = tf.where(
            union > 0, tf.math.divide_no_nan(tf.cast(intersection, tf.float64), tf.cast(union, tf.float64)), 1.0
        )
        self.total.assign_add(tf.reduce_sum(jaccard))
        self.images.assign_add(tf.cast(tf.size(jaccard), tf.float64))

    def result(self) -> tf.Tensor:
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.images))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


def build_metrics(threshold: float) -> list[keras.metrics.Metric]:
    """Return segmentation_models' IoU per batch at threshold 0.5, and the exact mean Jaccard over images.

    `compile` would also take the function, but then Keras makes its variables in the first step, and TensorFlow traces
    a step that makes variables twice.
    """
    return [keras.metrics.MeanMetricWrapper(iou_score, name="iou_score"), MeanJaccard(threshold)]
