"""A local server with the parts of Dataverse's API that the download uses, and with faults on demand.

Like Harvard's server, it redirects file requests to a storage address, rejects the default User-Agent of requests, and
serves ingested tables as generated .tab files unless the original is requested.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

DOI = "doi:10.7910/DVN/DBW86T"


@dataclass
class Dataverse:
    """The files by name, the faults to inject, and the requests served.

    `faults` maps a file name, or "dataset", to the faults of its next requests, one per request: a status, or
    "truncate" (half the body, then the connection closes), "corrupt" (one byte is changed), "stall" (half the body,
    then nothing until `release` is set).
    """

    files: dict[str, bytes]
    ingested: frozenset[str] = frozenset()
    licence: Any = field(default_factory=lambda: {"name": "CC BY-NC 4.0", "uri": "https://example.org"})
    dataset: Any = None  # replaces the API's response
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def describe(self) -> dict[str, Any]:
        files = [{"label": name, "dataFile": self._describe_file(name)} for name in self.files]
        latest = {"versionNumber": 4, "versionMinorNumber": 0, "license": self.licence, "files": files}
        return {"status": "OK", "data": {"id": 1, "identifier": "DVN/DBW86T", "latestVersion": latest}}

    def _describe_file(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        md5 = hashlib.md5(content).hexdigest()
        number = list(self.files).index(name) + 1
        file = {"id": number, "filename": name, "filesize": len(content), "md5": md5}
        file["checksum"] = {"type": "MD5", "value": md5}
        if name in self.ingested:
            file |= {"filename": name.replace(".csv", ".tab"), "filesize": len(as_tab(content))}
            file |= {"originalFileFormat": "text/csv", "originalFileName": name, "originalFileSize": len(content)}
        return file


def as_tab(content: bytes) -> bytes:
    return content.replace(b",", b'"\t"')


@contextlib.contextmanager
def serve_dataverse(dataverse: Dataverse) -> Iterator[str]:
    """Yield the server's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = parse_qs(address.query)
            if self.headers["User-Agent"].startswith("python-requests"):
                self.answer(403, b"<h1>Forbidden</h1>")
            elif address.path == "/api/datasets/:persistentId/":
                self.describe(query["persistentId"][0])
            elif address.path.startswith("/api/access/datafile/"):
                self.send_response(303)
                kept = "&original" if query.get("format") == ["original"] else ""
                self.send_header("Location", f"/storage/{address.path.rpartition('/')[2]}?signature=1{kept}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif address.path.startswith("/storage/"):
                name = list(dataverse.files)[int(address.path.removeprefix("/storage/")) - 1]
                self.serve_file(name, original="original" in address.query)
            else:
                self.answer(404, b'{"status": "ERROR", "message": "no such call"}')

        def describe(self, doi: str) -> None:
            dataverse.served["dataset"] += 1
            fault = next(iter(dataverse.faults.get("dataset", [])), None)
            if fault is not None:
                dataverse.faults["dataset"].pop(0)
                self.answer(int(fault), b"busy")
            elif doi != DOI:
                self.answer(404, b'{"status": "ERROR", "message": "Dataset not found"}')
            elif dataverse.dataset is not None:
                self.answer(200, dataverse.dataset)
            else:
                self.answer(200, json.dumps(dataverse.describe()).encode())

        def serve_file(self, name: str, *, original: bool) -> None:
            dataverse.served[name] += 1
            content = dataverse.files[name]
            if name in dataverse.ingested and not original:
                content = as_tab(content)
            faults = dataverse.faults.get(name, [])
            fault = faults.pop(0) if faults else None
            if isinstance(fault, int):
                self.answer(fault, b"error")
            elif fault == "corrupt":
                self.answer(200, content[:-1] + bytes([content[-1] ^ 1]))
            elif fault in ("truncate", "stall"):
                self.answer(200, content[: len(content) // 2], length=len(content))
                if fault == "stall":
                    self.wfile.flush()
                    dataverse.stalled.set()
                    dataverse.release.wait()
                self.close_connection = True
            else:
                self.answer(200, content)

        def answer(self, status: int, body: bytes, *, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        dataverse.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def pack_ham10000(root: Path) -> dict[str, bytes]:
    """The files of the HAM10000 dataset, with the images and masks of a folder of phantoms."""
    images, masks = sorted((root / "images").iterdir()), sorted((root / "masks").iterdir())
    half = len(images) // 2
    inner = "HAM10000_segmentations_lesion_tschandl"
    extra = {f"__MACOSX/{inner}/._{masks[0].name}": b"\0\5\26\7", f"{inner}/.DS_Store": b"\0"}
    return {
        "HAM10000_images_part_1.zip": pack({path.name: path.read_bytes() for path in images[:half]}),
        "HAM10000_images_part_2.zip": pack({path.name: path.read_bytes() for path in images[half:]}),
        "HAM10000_metadata.csv": (root / "HAM10000_metadata.csv").read_bytes(),
        f"{inner}.zip": pack({f"{inner}/{path.name}": path.read_bytes() for path in masks} | extra),
        "ISIC2018_Task3_Test_Images.zip": pack({"ISIC_0.jpg": b"not needed"}),
        "ISIC2018_Task3_Test_GroundTruth.csv": b"image_id,dx\nISIC_0,nv\n",
    }


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return packed.getvalue()
