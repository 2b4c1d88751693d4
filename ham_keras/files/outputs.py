"""Check the file that a command is told to write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ham_keras.errors import HamError

PICTURES = (".png", ".jpg", ".jpeg")


def check_output(output: Path, inputs: Iterable[Path | str], suffixes: tuple[str, ...] = ()) -> None:
    """Check that a file to be written replaces no input and, with `suffixes`, that its name ends in one of them.

    Raises:
        HamError: it does not.
    """
    if suffixes and output.suffix.lower() not in suffixes:
        raise HamError(f"-o {output}: expected a name that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    if output.exists() and any(path.exists() and output.samefile(path) for path in map(Path, inputs)):
        raise HamError(f"-o {output}: is an input, which would be replaced; name another file")
