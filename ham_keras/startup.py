"""Start commands without packages that Keras imports for parts of it that they do not use, and without notices."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.abc import Loader
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Keras imports them for `keras.visualization`, `keras.wrappers`, data frames and its file editor, and does without if
# they are not installed.
UNUSED = ("IPython", "matplotlib", "pandas", "sklearn")
# What TensorFlow's C++ writes to the terminal before it reads TF_CPP_MIN_LOG_LEVEL: that oneDNN is used, and that there
# is no CUDA (303: no driver). An extended regular expression of grep.
NOTICES = (
    "^WARNING: All log messages before absl::InitializeLog|^I0000 [^ ]+ +[0-9]+ (port|cudart_stub)[.]cc:|"
    "^E0000 [^ ]+ +[0-9]+ cuda_platform[.]cc:.*cuInit.*[(]303[)]"
)


class _WithoutUnused:
    """While `keras` is being imported, modules of UNUSED that are not imported yet seem not to be installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in UNUSED and _is_being_imported("keras"):
            raise ModuleNotFoundError(f"{fullname} is not imported by Keras", name=fullname)
        return None  # another finder has it


class _WithoutNotices:
    """Imports `tensorflow`, and lets it look for devices, without NOTICES."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((found for found in others if found is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self.loader
        with hidden_notices():
            self.loader.exec_module(module)
            with contextlib.suppress(Exception):  # raised again where devices are used
                module.config.list_physical_devices()


def prepare_imports() -> None:
    """Import TensorFlow and Keras, from now on, without the modules of UNUSED, which is faster, and without NOTICES.

    For commands only: in their processes those parts of Keras do not work, and cannot be made to work. A
    TF_CPP_MIN_LOG_LEVEL below 3 shows the notices.
    """
    if not any(isinstance(finder, _WithoutUnused) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutUnused())
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
            sys.meta_path.insert(0, _WithoutNotices())


@contextlib.contextmanager
def hidden_notices() -> Iterator[None]:
    """Within it, what is written to standard error passes through a grep, another process, which leaves NOTICES out.

    Whatever happens to this process, the rest is written. Does nothing without grep or standard error.
    """
    import subprocess  # here, for `import ham_keras` does without

    command = ["grep", "--line-buffered", "-avE", NOTICES]
    try:
        filtering = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, stderr=subprocess.DEVNULL)
        terminal = os.dup(2)
    except OSError:
        yield
        return
    assert filtering.stdin is not None
    with contextlib.suppress(AttributeError, OSError):
        sys.stderr.flush()
    os.dup2(filtering.stdin.fileno(), 2)
    try:
        yield
    finally:
        with contextlib.suppress(AttributeError, OSError):
            sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        filtering.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for whoever else still has the pipe
            filtering.wait(timeout=5)


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
