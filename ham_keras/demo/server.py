"""Start and stop the server of the demo page."""

from __future__ import annotations

import importlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ham_keras.errors import HamError
from ham_keras.prediction.ensemble import Folders, load_ensemble
from ham_keras.settings import Outline

HOST, PORT = "127.0.0.1", 7860
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


@contextmanager
def serve(
    folder: Folders,
    *,
    host: str = HOST,
    port: int = PORT,
    outline: Outline | None = None,
    auth: tuple[str, str] | None = None,
    diagnosis: Path | str | None = None,
) -> Iterator[str]:
    """Serve the page of a run, or of the mean of several, until the `with` block ends; yields its address.

    `auth` is the user and password that the page asks for. `outline` sets the page's initial post-processing; the
    default is that of the first run's config. `diagnosis` is a diagnosis run, whose probabilities are then shown.

    The process sends nothing except responses to its page: no telemetry, no external fonts or scripts, no share link.
    Uploads go to a temporary folder, which is deleted when the block ends.

    Raises:
        HamError: not a run, no weights yet, Gradio is not installed, host or port cannot be used.
    """
    ensemble = load_ensemble(folder)
    _check_port(host, port)
    with tempfile.TemporaryDirectory(prefix="ham_keras_app_", ignore_cleanup_errors=True) as uploads:
        os.environ.update(QUIET, GRADIO_TEMP_DIR=uploads)  # before Gradio is imported
        _check_gradio()
        # Gradio requests its own page to check that it is up, which must not go through a proxy.
        os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy", os.environ.get("NO_PROXY")), host)))
        from ham_keras.demo.page import build_page, launch_page
        from ham_keras.prediction.predictor import load_predictor

        predictor = load_predictor(ensemble, outline)
        diagnose = None
        if diagnosis is not None:
            from ham_keras.diagnosis.diagnoser import Diagnoser

            diagnoser = Diagnoser(diagnosis)
            diagnoser.warn_of_another(ensemble, predictor.outline)
            diagnose = diagnoser.probabilities
        page = build_page(ensemble, predictor, local=is_local(host), diagnose=diagnose)
        try:
            yield launch_page(page, host, port, auth)
        finally:
            page.close(verbose=False)


def is_local(host: str) -> bool:
    """Whether a server at this address is reachable only from this machine."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _check_gradio() -> None:
    try:
        importlib.import_module("gradio")
    except ImportError:
        raise HamError("the demo page: gradio is not installed; pip install gradio") from None


def _check_port(host: str, port: int) -> None:
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise HamError(f"{host}:{port}: cannot be used ({reason}); choose another --port or --host") from None
