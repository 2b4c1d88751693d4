"""Serve a web page that outlines the lesion in an uploaded image.

    python -m ham_keras.app runs/base
    python -m ham_keras.app runs/base runs/other    # the mean of their probabilities

Requires the extra `app` (Gradio). Images stay on this machine and are not stored: an upload is deleted as soon as it
is read, and results are kept in memory until the page is closed. Press Ctrl-C to stop. Research use; not a medical
device.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Sequence

from ham_keras.demo.server import HOST, PORT, is_local, serve
from ham_keras.errors import HamError, program, run_command, warn
from ham_keras.prediction.arguments import add_outline_arguments, add_runs_argument, outline_from_arguments
from ham_keras.prediction.ensemble import load_ensemble

AUTH = "HAM_KERAS_AUTH"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog=program("app"),
        description="Outline lesions on a web page. Images stay on this machine. Not a medical device.",
    )
    add_runs_argument(parser)
    parser.add_argument("--host", default=HOST, help="address to listen on (default %(default)s: this machine only)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="port to listen on (default %(default)s)")
    parser.add_argument(
        "--auth", metavar="USER:PASSWORD", default=os.environ.get(AUTH),
        help=f"ask for this user and password; needed for a --host beyond this machine (default: ${AUTH}, which other "
        f"users of this machine cannot read)",
    )  # fmt: skip
    parser.add_argument("--diagnosis", metavar="RUN", help="a diagnosis run, e.g. runs/diagnosis: shows probabilities")
    add_outline_arguments(parser)
    args = parser.parse_args(argv)
    user, _, password = (args.auth or "").partition(":")
    if args.auth is not None and not (user and password):
        raise HamError(f"--auth, or {AUTH}: expected USER:PASSWORD")
    if not is_local(args.host):
        if args.auth is None:
            raise HamError(
                f"--host {args.host}: anyone who reaches this machine could use the page; set {AUTH}=USER:PASSWORD, or "
                f"--auth USER:PASSWORD"
            )
        warn(f"--host {args.host}: images and password are sent unencrypted")
    auth = (user, password) if args.auth is not None else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        outline = outline_from_arguments(args, load_ensemble(args.runs).agreed_outline())
        options = {"host": args.host, "port": args.port, "auth": auth, "diagnosis": args.diagnosis}
        with serve(args.runs, outline=outline, **options) as url:
            print(
                f"{url}: {', '.join(args.runs)}, press Ctrl-C to stop. Research use; not a medical device.", flush=True
            )
            threading.Event().wait()
    except KeyboardInterrupt:
        print("stopped; no images are left on disk")
    return 0


if __name__ == "__main__":
    run_command(main)
