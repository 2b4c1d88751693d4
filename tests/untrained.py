"""Networks that answer without having been trained."""

from __future__ import annotations

import keras
import numpy as np

MFSNET_LOGITS = ("ppd_logits", "reverse_32x_logits", "reverse_16x_logits", "reverse_8x_logits")


def enlarge_mfsnet_logits(model: keras.Model) -> None:
    """Multiply the logits of an untrained MFSNet, whose probabilities are otherwise 0.5 but for 0.00001."""
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    for name in MFSNET_LOGITS:
        kernel = inner.get_layer(name).kernel
        kernel.assign(np.float32(1e5) * kernel)
