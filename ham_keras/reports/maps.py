"""Pictures of what the side outputs of a network show: its coarser maps and its edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ham_keras.data.images import read_image
from ham_keras.data.truth import read_truth
from ham_keras.reports.cases import fit_to_panel, save_panels
from ham_keras.reports.pictures import TRUTH, outlined
from ham_keras.reports.scored_set import ScoredSet


def draw_maps(scored: ScoredSet, image_ids: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Save all outputs of the network for these images as maps-<number>.png; returns what their cards show.

    Empty for runs without side outputs, and for those that have not kept their weights.
    """
    from ham_keras.models.loading import load_side_outputs
    from ham_keras.models.network import mask_edges
    from ham_keras.preprocessing.steps import build_steps

    model = load_side_outputs(scored.run, scored.config)
    if model is None:
        return []
    steps, cards = build_steps(scored.config.data), []
    edges = {side.name for side in model.sides if side.target is mask_edges}  # an outline would cover them
    for number, image_id in enumerate(image_ids, 1):
        record = scored.records[image_id]
        image, truth = read_image(record.image_path), read_truth(record).lesion
        outputs = model(steps(image).numpy()[None].astype(np.float32), training=False)
        small = fit_to_panel(image)
        panels = [("truth", outlined(small, truth, TRUTH))]
        for name, output in outputs.items():
            shape = small.shape[1::-1]
            grey = cv2.resize(output.numpy()[0, ..., 0], shape, interpolation=cv2.INTER_LINEAR)
            shades = np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)
            drawn = np.repeat(shades[..., None], 3, axis=-1)
            panels.append((name, drawn if name in edges else outlined(drawn, truth, TRUTH)))
        picture = f"maps-{number}.png"
        save_panels(panels, folder / picture)
        cards.append({"picture": picture, "image_id": image_id, "outputs": list(outputs)})
    return cards
