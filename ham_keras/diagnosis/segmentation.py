"""The segmentation run behind a diagnosis run, and the masks it gives to each image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ham_keras.config import Config
from ham_keras.crossval_folder import CrossvalFolder
from ham_keras.data.masks import read_mask
from ham_keras.data.records import Record
from ham_keras.data.splits import load_split
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


def input_digests(
    config: DiagnosisConfig, segmentation: SegmentationRun, sides: Mapping[str, Sequence[Record]]
) -> dict[str, str]:
    """SHA-256 by setting of what a run is made from: weights of networks and encoders, and out-of-fold masks.

    Raises:
        HamError: see `out_of_fold_masks`; or a file is missing.
    """
    encoders = {f"features.encoders.{place}.weights": each for place, each in enumerate(config.features.encoders)}
    if config.features.trained:
        encoders["network.encoder.weights"] = config.network.encoder
    files = {"segmentation": [segmentation.run.weights]}
    for setting, encoder in encoders.items():
        if encoder.weights not in (OWN_ENCODER, "imagenet"):
            files[setting] = [Path(encoder.weights).expanduser()]
    if config.features.masks == "out_of_fold":
        files["features.cross_validation"] = list(out_of_fold_masks(config, sides["train"]).values())
        if config.features.doubt:
            files["features.cross_validation"] += [fold.weights for fold in cross_validation(config).folds]
    digests = {}
    for setting, paths in files.items():
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise SettingError(setting, f"{missing}: no such file")
        digests[setting] = hashlib.sha256("".join(map(file_digest, paths)).encode()).hexdigest()
    return digests


def choose_masks(config: DiagnosisConfig, sides: Mapping[str, Sequence[Record]]) -> dict[Path, ReadMask]:
    """How to read the masks that are not predicted, by image file.

    Raises:
        HamError: see `out_of_fold_masks`.
    """
    features = config.features
    chosen: dict[Path, ReadMask] = {}
    for side, records in sides.items():
        if (features.masks if side == "train" else features.scored_masks) == "annotated":
            chosen |= {record.image_path: partial(_read_true, record) for record in records}
    if features.masks == "out_of_fold":
        masks = out_of_fold_masks(config, sides["train"])
        chosen |= {path: partial(_read_file, mask) for path, mask in masks.items()}
    return chosen


def cross_validation(config: DiagnosisConfig) -> CrossvalFolder:
    """The cross-validation that out-of-fold masks are from."""
    return CrossvalFolder(Path(config.features.cross_validation or config.segmentation).expanduser())


def out_of_fold_masks(config: DiagnosisConfig, train: Sequence[Record]) -> dict[Path, Path]:
    """The out-of-fold mask of each training image, by image file.

    Raises:
        HamError: there are none, or one is missing.
    """
    folder = cross_validation(config).out_of_fold / "masks"
    if not folder.is_dir():
        raise SettingError("features.masks", f"{folder}: no out-of-fold masks there; run crossval first")
    masks = {record.image_path: folder / f"{record.image_id}_segmentation.png" for record in train}
    missing = [path for path, mask in masks.items() if not mask.is_file()]
    if missing:
        raise SettingError(
            "features.masks", f"{folder}: has no mask of {len(missing)} training images, the first: {missing[0]}"
        )
    return masks


def network_folders(
    config: DiagnosisConfig, segmentation: SegmentationRun, sides: Mapping[str, Sequence[Record]]
) -> dict[Path, Path]:
    """The run whose network gives the probabilities of each image, by image file.

    With out-of-fold masks, those of a training image are by the network of the fold that has not seen it, as its mask.
    """
    folders = {record.image_path: segmentation.run.folder for side in sides.values() for record in side}
    if config.features.masks == "out_of_fold":
        train = {record.image_id: record.image_path for record in sides["train"]}
        for fold in cross_validation(config).folds:
            held_out = [image_id for image_id in load_split(fold.split)["test"] if image_id in train]
            folders |= {train[image_id]: fold.folder for image_id in held_out}
    return folders


def _read_true(record: Record) -> Mask:
    return read_truth(record).lesion


def _read_file(path: Path) -> Mask:
    return read_mask(path).lesion


def needs_network(features: Features, masks: Mapping[Path, ReadMask], paths: Sequence[Path]) -> bool:
    """Whether an image needs the segmentation network: for its mask or for the network's doubt."""
    return features.doubt or any(path not in masks for path in paths)
