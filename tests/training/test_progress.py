"""What training logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from limits import largest_file

from ham_keras.training.progress import log_to_tensorboard

HISTORY = [{"epoch": epoch, "loss": 1 / epoch} for epoch in range(1, 200)]


def test_full_disk_only_warns_about_the_tensorboard_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with largest_file(2000):
        log_to_tensorboard(tmp_path / "tensorboard", HISTORY)
    assert f"warning: {tmp_path}/tensorboard: not written (" in capsys.readouterr().err
    (tmp_path / "file").touch()
    log_to_tensorboard(tmp_path / "file", HISTORY[:1])
    assert f"warning: {tmp_path}/file: not written (" in capsys.readouterr().err
