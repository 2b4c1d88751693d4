"""How a command ends."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from collections.abc import Sequence

import pytest

from ham_keras.errors import HamError, is_utf8, run_command, shown


@pytest.fixture(autouse=True)
def restored_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run_command` changes how this process imports Keras."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])


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


def test_shown_is_one_line_of_valid_text() -> None:
    assert shown("a\udce9.jpg") == "a\\xe9.jpg"
    assert shown("a\nb\tc\x1b[0m\u2028.jpg") == "a\\nb\\tc\\x1b[0m\\u2028.jpg"
    assert shown("Läsion 病变.jpg") == "Läsion 病变.jpg"
    assert is_utf8("a\nLäsion") and not is_utf8("a\udce9")


def test_a_name_that_is_not_utf8_is_printed_and_cannot_be_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", stdout)

    def command(_: Sequence[str] | None) -> int:
        print("runs/\udce9", flush=True)
        "scores/\udce9".encode()
        return 0

    with pytest.raises(SystemExit, match="2"):
        run_command(command)
    assert stdout.buffer.getvalue() == b"runs/\\udce9\n"  # type: ignore[attr-defined]
    assert capsys.readouterr().err == "error: scores/\\xe9: not UTF-8; rename it\n"


def test_reader_that_ends_first_is_no_error() -> None:
    code = "from ham_keras.errors import run_command\nrun_command(lambda _: print('line\\n' * 100000))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141


def test_closed_standard_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda _: 0)
    assert ended.value.code == 0
