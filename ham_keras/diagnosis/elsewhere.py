"""Score a diagnosis run on photographs of another folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ham_keras.diagnosis.diagnoser import Diagnoser
from ham_keras.diagnosis.features import measure_files
from ham_keras.diagnosis.patients import Photograph, read_patients, with_known_diagnosis
from ham_keras.diagnosis.report import report_diagnosis
from ham_keras.diagnosis.scoring import save_scores
from ham_keras.errors import shown, warn
from ham_keras.prediction.predictor import BATCH_SIZE, load_predictor


def score_photographs(
    folder: Path | str, photographs: Sequence[Photograph], root: str, name: str, *, visible: bool = True
) -> dict[str, Any]:
    """Write scores/<name>/ and reports/<name>/ of a diagnosis run; masks are those of its segmentation run.

    Returns:
        the content of summary.json.

    Raises:
        HamError: not a trained diagnosis run, no image has one of its diagnoses, or an image cannot be read.
    """
    diagnoser = Diagnoser(folder)
    known = with_known_diagnosis(photographs, diagnoser.classes, root)
    predictor = load_predictor(diagnoser.segmentation.run.folder)
    metadata = diagnoser.config.features.metadata
    patients = read_patients(root, [each.image_id for each in known]) if metadata else {}
    if metadata and not any(patients.values()):
        warn(f"{root}: no table has age, sex or localization of these images, which this run was trained with")
    parts = []
    with tqdm(total=len(known), desc="features", unit=" images", disable=None if visible else True) as bar:
        for first in range(0, len(known), BATCH_SIZE):
            batch = known[first : first + BATCH_SIZE]
            paths = [each.image_path for each in batch]
            measured = [each for _, each in measure_files(diagnoser.extractor, predictor, paths, {})]
            parts.append(diagnoser.features(measured, [patients.get(each.image_id, {}) for each in batch]))
            bar.update(len(batch))
    made_from = {"data": root, "split": None}
    features = np.concatenate(parts)
    summary = save_scores(diagnoser.folder, name, diagnoser.trees, features, known, made_from, diagnoser.config)
    print(f"report: {shown(report_diagnosis(diagnoser.folder, diagnoser.config, name))}")
    return summary
