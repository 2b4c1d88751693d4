"""A page in the browser that outlines the lesion of an image that is dropped on it.

    python -m ham_keras.app runs/base

It needs the extra `app` (Gradio). Images stay on the machine that runs it and are not kept: an upload is deleted
when it is read, and what a page shows is in memory until the page is closed. Ctrl-C ends it. Research use; not a
medical device.
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
    """Run the command until Ctrl-C or SIGTERM, which are its ordinary end."""
    parser = argparse.ArgumentParser(
        prog=program("app"),
        description="Outline lesions on a page in the browser. Images stay on this machine. Not a medical device.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. runs/base")
    parser.add_argument("--host", default=HOST, help="address to listen at (default %(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="port to listen at (default %(default)s)")
    add_outline_arguments(parser)
    args = parser.parse_args(argv)
    if not is_local(args.host):
        warn(f"--host {args.host}: whoever reaches this machine can use the page, and images travel unencrypted")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        outline = outline_from_arguments(args, load_run(args.run)[1].outline)
        with serve(args.run, host=args.host, port=args.port, outline=outline) as url:
            print(f"{url}: {args.run}, until Ctrl-C. Research use; not a medical device.", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("ended; no image is left on disk")
    return 0


if __name__ == "__main__":
    run_command(main)
