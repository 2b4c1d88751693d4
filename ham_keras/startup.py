"""Start commands without packages that Keras imports for parts of it that they do not use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Keras imports them for `keras.visualization`, `keras.wrappers`, data frames and its file editor, and does without if
# they are not installed.
UNUSED = ("IPython", "matplotlib", "pandas", "sklearn")


class _WithoutUnused:
    """While `keras` is being imported, modules of UNUSED that are not imported yet seem not to be installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in UNUSED and _is_being_imported("keras"):
            raise ModuleNotFoundError(f"{fullname} is not imported by Keras", name=fullname)
        return None  # another finder has it


def skip_unused_imports() -> None:
    """Import TensorFlow and Keras, from now on, without the modules of UNUSED, which is faster.

    For commands only: in their processes those parts of Keras do not work, and cannot be made to work.
    """
    if not any(isinstance(finder, _WithoutUnused) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutUnused())


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
