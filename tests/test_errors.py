"""How a command ends."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest

from ham_keras.errors import HamError, run_command


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (HamError("a.json: broken"), "error: a.json: broken\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), "error: a.png: No space left on device\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: a file: No space left on device\n"),
    ],
)
def test_error_is_one_line_with_status_2(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: Sequence[str] | None) -> int:
        raise error

    with pytest.raises(SystemExit, match="2"):
        run_command(command)
    assert capsys.readouterr().err == line


def test_other_system_errors_keep_their_traceback() -> None:
    def command(_: Sequence[str] | None) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        run_command(command)
