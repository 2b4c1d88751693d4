"""A page in the browser that outlines the lesion of an image that is dropped on it.

    python -m ham_keras.app runs/base

It needs the extra `app` (Gradio). Images stay on the machine that runs it and are not kept: an upload is deleted
when it is read, and what a page shows is in memory until the page is closed. Ctrl-C ends it. Research use; not a
medical device.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ham_keras.errors import HamError, run_command, warn
from ham_keras.prediction.outline import Outlining
from ham_keras.runs import load_run

HOST, PORT = "127.0.0.1", 7860
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


@contextmanager
def serve(folder: Path | str, *, host: str = HOST, port: int = PORT, tta: bool = False) -> Iterator[str]:
    """Show a run's page until the `with` block ends; yields its address.

    Nothing but the answers to its own page leaves the process: no telemetry, no fonts or scripts from elsewhere, no
    shared link. Uploads pass through a temporary folder of its own, which goes when the block ends.

    Raises:
        HamError: not a run, no weights yet, Gradio is not installed, host or port cannot be had.
    """
    run, config = load_run(folder)
    if not run.weights.exists():
        raise HamError(f"{run.weights}: not there yet; train the run first")
    _need_port(host, port)
    with tempfile.TemporaryDirectory(prefix="ham_keras_app_", ignore_cleanup_errors=True) as uploads:
        os.environ.update(QUIET, GRADIO_TEMP_DIR=uploads)  # before Gradio is imported
        _need_gradio()
        # Gradio asks its own page whether it is there, which no proxy can tell.
        os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy", os.environ.get("NO_PROXY")), host)))
        from ham_keras.demo.page import build_page, launch_page
        from ham_keras.prediction.predictor import Segmenter

        page = build_page(run, config, Segmenter(folder, Outlining(config.score.threshold, tta)), local=is_local(host))
        try:
            yield launch_page(page, host, port)
        finally:
            page.close(verbose=False)


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server at this address."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _need_gradio() -> None:
    try:
        importlib.import_module("gradio")
    except ImportError:
        raise HamError("the demo page: gradio is not installed; pip install 'ham_keras[app]'") from None


def _need_port(host: str, port: int) -> None:
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise HamError(f"{host}:{port}: cannot be used ({reason}); choose another --port or --host") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command until Ctrl-C or SIGTERM, which are its ordinary end."""
    parser = argparse.ArgumentParser(
        prog="python -m ham_keras.app",
        description="Outline lesions on a page in the browser. Images stay on this machine. Not a medical device.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. runs/base")
    parser.add_argument("--host", default=HOST, help="address to listen at (default %(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="port to listen at (default %(default)s)")
    parser.add_argument("--tta", action="store_true", help="average over the image and its mirror images")
    args = parser.parse_args(argv)
    if not is_local(args.host):
        warn(f"--host {args.host}: whoever reaches this machine can use the page, and images travel unencrypted")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serve(args.run, host=args.host, port=args.port, tta=args.tta) as url:
            print(f"{url}: {args.run}, until Ctrl-C. Research use; not a medical device.", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("ended; no image is left on disk")
    return 0


if __name__ == "__main__":
    run_command(main)
