"""Imports of a command's process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from ham_keras.startup import UNUSED, hidden_notices

IMPORTS = """
import json, sys
from ham_keras.errors import run_command

def command(argv):
    import keras
    skipped = [name for name in {names} if name not in sys.modules]
    import sklearn.base, matplotlib.figure, pandas
    print(json.dumps([keras.backend.backend(), *skipped]))

run_command(command)
"""


def test_commands_import_keras_without_what_it_can_do_without() -> None:
    code = IMPORTS.format(names=UNUSED)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["tensorflow", *UNUSED]


def in_command(body: str, *, level: str = "3", shell: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with this body in a new process; `shell` redirects its files."""
    code = f"import sys\nfrom ham_keras.errors import run_command\ndef command(argv):\n    {body}\nrun_command(command)"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": level, "CODE": code}
    line = f'exec "{sys.executable}" -c "$CODE" {shell}'
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment)


def test_commands_import_tensorflow_without_its_notices() -> None:
    work = "import tensorflow as tf; tf.constant(1) + 1; print(tf.__spec__.loader, file=sys.stderr)"
    written = in_command(work).stderr.splitlines()
    assert len(written) == 1 and "SourceFileLoader" in written[0]
    assert "oneDNN" in in_command(work, level="0").stderr


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full"])
def test_commands_import_tensorflow_where_nothing_can_be_written(shell: str) -> None:
    done = in_command("import tensorflow as tf; print(tf.constant(1).numpy())", shell=shell)
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_find_spec_of_tensorflow_is_complete() -> None:
    done = in_command("import pkgutil; print(len(pkgutil.get_data('tensorflow', '__init__.py')) > 100)")
    assert done.stdout == "True\n"


NOTICE = b"I0000 00:00:1795875492.557412    6380 port.cc:153] oneDNN custom operations are on.\n"
FATAL = b"F0000 00:00:1795875492.557412    6380 cpu_feature_guard.cc:1] compiled to use AVX instructions\n"


def test_all_else_is_written_and_errors_are_raised(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError, match="broken"), hidden_notices():
        os.write(2, NOTICE + b"library.so: missing\n" + FATAL)
        raise ImportError("broken")
    assert capfd.readouterr().err == "library.so: missing\n" + FATAL.decode()
    os.write(2, NOTICE)
    assert capfd.readouterr().err == NOTICE.decode()


def test_last_words_of_a_crash_are_written() -> None:
    code = f"""import os
from ham_keras.startup import hidden_notices
with hidden_notices():
    os.write(2, {NOTICE + FATAL!r})
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGABRT and done.stderr == FATAL


def test_without_grep_everything_is_written(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with hidden_notices():
        os.write(2, NOTICE)
    assert capfd.readouterr().err == NOTICE.decode()
