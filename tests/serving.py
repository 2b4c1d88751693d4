"""A local server of loaded signatures with TensorFlow Serving's REST v1 predict API."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import tensorflow as tf

MODEL = "/v1/models/lesion"


@contextlib.contextmanager
def serve(signatures: Any, *, refuse: list[int] | None = None, port: int = 0) -> Iterator[str]:
    """Yield the model's address, on `port` or a free one.

    The first requests are answered with the statuses in `refuse`, one per request, which are removed from the list.
    """
    refuse = [] if refuse is None else refuse

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"{MODEL}:predict":
                self.answer(404, {"error": f"Malformed request: POST {self.path}"})
            elif refuse:
                self.answer(refuse.pop(0), {"error": "busy"})
            else:
                try:
                    self.answer(200, {"predictions": predict(signatures, request)})
                except tf.errors.InvalidArgumentError as error:
                    self.answer(400, {"error": error.message})

        def answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{MODEL}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def predict(signatures: Any, request: dict[str, Any]) -> list[Any]:
    """Row format: takes a list of instances, returns a list of predictions; bytes are {"b64": ...}."""
    signature = signatures[request.get("signature_name", "serving_default")]
    _, specs = signature.structured_input_signature
    names = list(specs)
    # As in TensorFlow Serving's json_tensor.cc, a row has exactly the inputs of the signature.
    rows = [row if isinstance(row, dict) and "b64" not in row else {names[0]: row} for row in request["instances"]]
    for row in rows:
        if set(row) != set(names):
            raise tf.errors.InvalidArgumentError(None, None, f"JSON object: keys must be equal to: {','.join(names)}")
    inputs = {name: tf.constant([_from_json(row[name]) for row in rows], specs[name].dtype) for name in names}
    outputs = {name: value.numpy() for name, value in signature(**inputs).items()}
    answers = [{name: _to_json(name, value[i]) for name, value in outputs.items()} for i in range(len(rows))]
    return answers if len(outputs) > 1 else [answer[next(iter(outputs))] for answer in answers]


def _from_json(value: Any) -> Any:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _to_json(name: str, value: Any) -> Any:
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    return np.asarray(value).tolist()
