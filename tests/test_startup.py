"""Imports of a command's process."""

from __future__ import annotations

import json
import subprocess
import sys

from ham_keras.startup import UNUSED

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
