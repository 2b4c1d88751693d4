"""Starting from the weights of another run or a file, and the errors when they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.errors import HamError
from ham_keras.models.build import build_model, lesion_model
from ham_keras.models.initial_weights import load_initial_weights, with_initial_weights
from ham_keras.runs import Run
from ham_keras.settings import Model
from ham_keras.training.compiled import build_compiled_model


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("kind", ["run", "file"])
def test_training_starts_from_initial_weights_without_loading_encoder_weights(
    trained: Run, tiny: Any, kind: str, deep_supervision: bool
) -> None:
    source = trained.folder if kind == "run" else trained.weights
    model = {"encoder_weights": "imagenet", "initial_weights": str(source), "deep_supervision": deep_supervision}
    expected = build_model(Model(backbone="resnet18", encoder_weights=None))
    before = expected.get_weights()
    expected.load_weights(trained.weights)
    found = lesion_model(build_compiled_model(tiny(model=model), "float32", 3)).get_weights()
    for one, other in zip(expected.get_weights(), found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.array_equal(one, other) for one, other in zip(before, found, strict=True))


def test_path_becomes_absolute(trained: Run, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.folder.parent)
    monkeypatch.setenv("HOME", str(trained.folder.parent))
    for path in (trained.folder.name, f"~/{trained.folder.name}"):
        config = with_initial_weights(tiny(run={"name": "other"}, model={"initial_weights": path}))
        assert config.model.initial_weights == str(trained.folder.resolve())
    config = tiny()
    assert with_initial_weights(config) is config


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ({"backbone": "resnet34"}, "its model.backbone is resnet18, here it is resnet34; they must be the same"),
        ({"architecture": "fpn"}, "its model.architecture is unet, here it is fpn; they must be the same"),
        ({"initial_weights": "gone"}, "gone: no such run folder, .weights.h5 file or model"),
        ({"initial_weights": "docs"}, "docs: not a run folder"),
        ({"initial_weights": "setup.cfg"}, "setup.cfg: expected a run folder or a .weights.h5 file"),
    ],
)
def test_unsuitable_source_is_a_one_line_error(trained: Run, tiny: Any, model: dict[str, str], line: str) -> None:
    config = tiny(run={"name": "other"}, model={"initial_weights": str(trained.folder), **model})
    with pytest.raises(HamError) as caught:
        with_initial_weights(config)
    assert str(caught.value).startswith("model.initial_weights: ")
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_run_without_weights_is_an_error(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model": {"backbone": "resnet18"}}')
    with pytest.raises(HamError, match="has no weights yet; train that run first"):
        with_initial_weights(tiny(model={"initial_weights": str(tmp_path)}))


@pytest.mark.parametrize(
    ("architecture", "backbone"),
    [("unet", "resnet34"), ("unet", "vgg16"), ("fpn", "resnet18"), ("linknet", "resnet18"), ("mfsnet", "mobilenet")],
)
def test_file_of_another_network_is_a_one_line_error(trained: Run, architecture: str, backbone: str) -> None:
    settings = Model(
        architecture=architecture, backbone=backbone, encoder_weights=None, initial_weights=str(trained.weights)
    )
    with pytest.raises(HamError) as caught:
        load_initial_weights(build_model(settings), settings)
    assert str(caught.value).startswith(
        f"model.initial_weights: {trained.weights}: does not fit {architecture} {backbone} ("
    )
    assert "\n" not in str(caught.value)


def test_damaged_file_is_a_one_line_error(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    path.write_bytes(b"no weights")
    settings = Model(backbone="resnet18", encoder_weights=None, initial_weights=str(path))
    with pytest.raises(HamError, match=r"^model\.initial_weights: .*a\.weights\.h5: does not fit unet resnet18"):
        load_initial_weights(build_model(settings), settings)
