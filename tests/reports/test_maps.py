"""Maps of a network's side outputs in its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_training import run_training

from ham_keras.data.images import read_image
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.models.loading import load_model, load_side_outputs
from ham_keras.preprocessing.resize import resize_image
from ham_keras.reports.cases import GAP_PX, LABEL_PX
from ham_keras.reports.maps import draw_maps
from ham_keras.reports.scored_set import ScoredSet
from ham_keras.runs import load_run


def test_run_keeps_its_side_outputs_and_draws_them(tiny: Any, phantoms: Path, tmp_path: Path) -> None:
    model = {"architecture": "mfsnet", "backbone": "mobilenet", "deep_supervision": True}
    run, _ = run_training(tiny(model=model, train={"epochs": 1, "loss": "boundary_jaccard_bce", "ema_momentum": 0.9}))
    config = load_run(run.folder)[1]
    whole = load_side_outputs(run, config)
    assert whole is not None
    records = {record.image_id: record for record in find_records(phantoms).records}
    image_id, record = next(iter(records.items()))
    small = resize_image(read_image(record.image_path), 32, 32).numpy()[None].astype(np.float32)
    outputs = whole(small, training=False)
    np.testing.assert_array_equal(outputs["lesion"], load_model(run, config)(small, training=False))
    with np.load(run.side_weights) as kept:
        assert set(kept) == {"edge_logits/kernel", "edge_logits/bias"}
        assert kept["edge_logits/bias"] != 0  # trained

    scored = ScoredSet(run, config, "test", {}, {}, records)
    (card,) = draw_maps(scored, [image_id], tmp_path)
    assert card["outputs"] == ["lesion", "global", "deep_32", "deep_16", "edge"]
    with Image.open(tmp_path / card["picture"]) as picture:
        assert picture.size == (2 * 300 + GAP_PX, 3 * (200 + LABEL_PX))

    run.side_weights.write_bytes(b"")
    with pytest.raises(HamError, match=r"side_outputs\.npz: does not fit"):
        load_side_outputs(run, config)
    run.side_weights.unlink()
    assert draw_maps(scored, [image_id], tmp_path) == []
