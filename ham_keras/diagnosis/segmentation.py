"""The segmentation run behind a diagnosis run, and the masks it gives to each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ham_keras.config import Config
from ham_keras.crossval_folder import CrossvalFolder
from ham_keras.data.masks import read_mask
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.diagnosis.config import OWN_ENCODER, DiagnosisConfig, Features
from ham_keras.diagnosis.crops import Mask, ReadMask
from ham_keras.errors import SettingError
from ham_keras.runs import Run, load_run
from ham_keras.runs.named import check_is_run, find_run
from ham_keras.trust.file import file_digest


@dataclass(frozen=True)
class SegmentationRun:
    """The run that outlines lesions; `split` is the split file to use unless the config names one."""

    run: Run
    config: Config
    split: Path


def find_segmentation(config: DiagnosisConfig) -> SegmentationRun:
    """The run that `segmentation` names; of a cross-validation its first fold, with the split of all folds.

    Raises:
        HamError: no such folder, or it has no weights yet.
    """
    folder = find_run(config.segmentation)
    check_is_run(folder, "diagnose")
    crossval = CrossvalFolder(folder)
    is_crossval = crossval.config.exists()
    if not (is_crossval or Run(folder).config.exists()):
        raise SettingError(
            "segmentation", f"{folder}: no run or cross-validation there; train one first, or name another"
        )
    run, settings = load_run(crossval.fold(0).folder if is_crossval else folder)
    if not run.weights.exists():
        raise SettingError("segmentation", f"{run.weights}: not there yet; finish training that run first")
    return SegmentationRun(run, settings, crossval.split if is_crossval else run.split)


def weights_digest(segmentation: SegmentationRun, features: Features) -> dict[str, str]:
    """SHA-256 of all weights files that features depend on, by path."""
    files = [segmentation.run.weights]
    others = [encoder.weights for encoder in features.encoders if encoder.weights not in (OWN_ENCODER, "imagenet")]
    files += [Path(name).expanduser() for name in others]
    return {str(path.resolve()): file_digest(path) for path in files}


def choose_masks(config: DiagnosisConfig, sides: Mapping[str, Sequence[Record]]) -> dict[Path, ReadMask]:
    """How to read the masks that are not predicted, by image file.

    Raises:
        HamError: there are no out-of-fold masks, or none of a training image.
    """
    features = config.features
    chosen: dict[Path, ReadMask] = {}
    for side, records in sides.items():
        if (features.masks if side == "train" else features.scored_masks) == "annotated":
            chosen |= {record.image_path: partial(_read_true, record) for record in records}
    if features.masks == "out_of_fold":
        folder = CrossvalFolder(Path(features.cross_validation or config.segmentation).expanduser())
        masks = folder.out_of_fold / "masks"
        if not masks.is_dir():
            raise SettingError("features.masks", f"{masks}: no out-of-fold masks there; run crossval first")
        for side, records in sides.items():
            if side != "train" and features.scored_masks == "annotated":
                continue
            named = {record.image_path: masks / f"{record.image_id}_segmentation.png" for record in records}
            missing = [path for path, mask in named.items() if not mask.is_file()]
            if side == "train" and missing:
                raise SettingError(
                    "features.masks", f"{masks}: has no mask of {len(missing)} training images, the first: {missing[0]}"
                )
            chosen |= {path: partial(_read_file, mask) for path, mask in named.items() if path not in missing}
    return chosen


def _read_true(record: Record) -> Mask:
    return read_truth(record).lesion


def _read_file(path: Path) -> Mask:
    return read_mask(path).lesion


def needs_network(features: Features, masks: Mapping[Path, ReadMask], paths: Sequence[Path]) -> bool:
    """Whether an image needs the segmentation network: for its mask or for the network's doubt."""
    return features.doubt or any(path not in masks for path in paths)
