"""Serve a web page that outlines the lesion in an uploaded image.

    python -m ham_keras.app runs/base

Requires the extra `app` (Gradio). Images stay on this machine and are not stored: an upload is deleted as soon as it
is read, and results are kept in memory until the page is closed. Press Ctrl-C to stop. Research use; not a medical
device.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence

from ham_keras.demo.server import HOST, PORT, is_local, serve
from ham_keras.errors import program, run_command, warn
from ham_keras.prediction.arguments import add_outline_arguments, outline_from_arguments
from ham_keras.runs import load_run


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog=program("app"),
        description="Outline lesions on a web page. Images stay on this machine. Not a medical device.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. runs/base")
    parser.add_argument("--host", default=HOST, help="address to listen on (default %(default)s: this machine only)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="port to listen on (default %(default)s)")
    parser.add_argument("--diagnosis", metavar="RUN", help="a diagnosis run, e.g. runs/diagnosis: shows probabilities")
    add_outline_arguments(parser)
    args = parser.parse_args(argv)
    if not is_local(args.host):
        warn(f"--host {args.host}: anyone who can reach this machine can use the page, and images are sent unencrypted")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        outline = outline_from_arguments(args, load_run(args.run)[1].outline)
        with serve(args.run, host=args.host, port=args.port, outline=outline, diagnosis=args.diagnosis) as url:
            print(f"{url}: {args.run}, press Ctrl-C to stop. Research use; not a medical device.", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("stopped; no images are left on disk")
    return 0


if __name__ == "__main__":
    run_command(main)
