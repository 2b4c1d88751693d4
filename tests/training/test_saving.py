"""`keras.saving.load_model` restores a saved model in a process that only imports `training.saving`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ham_keras.training.compiled import build_compiled_model
from ham_keras.training.saving import Adam, AdamW

LOAD = """
import sys
import keras, numpy as np
import ham_keras.training.saving
folder = sys.argv[1]
model = keras.saving.load_model(f"{folder}/model.keras")
print(type(model.optimizer).__name__, type(getattr(model.optimizer, "inner_optimizer", None)).__name__)
data = np.load(f"{folder}/data.npz")
outputs = model(data["images"], training=False)
np.savez(f"{folder}/outputs.npz", **(outputs if isinstance(outputs, dict) else {"lesion": outputs}))
targets = {name: data[name] for name in data if name != "images"}
for _ in range(2):
    logs = model.train_on_batch(data["images"], targets if len(targets) > 1 else targets["lesion"], return_dict=True)
np.savez(f"{folder}/logs.npz", **logs)
"""


@pytest.mark.parametrize(
    ("optimizer", "deep_supervision", "backbone", "precision"),
    [("adam", False, "resnet18", "float32"), ("adamw", True, "mobilenet", "mixed_float16")],
)
def test_saved_model_is_restored_in_a_new_process(
    tiny: Any, tmp_path: Path, optimizer: str, deep_supervision: bool, backbone: str, precision: str
) -> None:
    config = tiny(
        model={
            "architecture": "mfsnet" if deep_supervision else "unet",
            "backbone": backbone,
            "deep_supervision": deep_supervision,
        },
        train={"optimizer": optimizer, "clip_norm": 1.0, "schedule": {"name": "cosine"}, "loss": "dice_bce"},
    )
    model = build_compiled_model(config, precision, 3)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    masks = (rng.random((2, 32, 32, 1)) < 0.3).astype(np.float32)
    targets = {name: np.asarray(value) for name, value in model.targets(masks).items()} if deep_supervision else masks
    model.train_on_batch(images, targets)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", images=images, **(targets if deep_supervision else {"lesion": masks}))
    done = subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    kind = {"adam": "Adam", "adamw": "AdamW"}[optimizer]
    assert done.stdout.split() == ([kind, "NoneType"] if precision == "float32" else ["LossScaleOptimizer", kind])
    expected = model(images, training=False)
    with np.load(tmp_path / "outputs.npz") as outputs:
        for name, output in (expected if deep_supervision else {"lesion": expected}).items():
            np.testing.assert_array_equal(outputs[name], output)
    # Optimizer moments and schedule step are also restored, so the next steps are the same.
    model.reset_metrics()
    for _ in range(2):
        logs = model.train_on_batch(images, targets, return_dict=True)
    with np.load(tmp_path / "logs.npz") as found:
        assert set(found) == set(logs)
        for name in found:
            assert float(found[name]) == pytest.approx(float(logs[name]), rel=1e-4 if precision == "float32" else 0.02)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_registered_names_include_the_package(kind: type) -> None:
    assert keras.saving.get_registered_name(kind) == f"ham_keras>{kind.__name__}"
    assert keras.saving.get_registered_object(f"ham_keras>{kind.__name__}") is kind
