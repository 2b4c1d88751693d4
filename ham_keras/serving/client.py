"""A client of TensorFlow Serving's REST API. TensorFlow is not needed here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ham_keras.data.encoded import read_encoded
from ham_keras.errors import HamError
from ham_keras.files import load_csv, save_bytes, save_csv

BUSY = (429, 503)
LONGEST_MESSAGE = 300  # characters of a server's error message

# What a calibrated run's model returns besides the mask, and the decimals that `predict` writes.
ASSESSED = {"expected_jaccard": 4, "jaccard_at_least": 4, "margin_px": 1}
TABLE = "trust.csv"


@dataclass(frozen=True)
class Served:
    """The answer for one image.

    Attributes:
        mask: a PNG of 0 and 255 at the image's size.
        assessed: of a calibrated run's model, expected_jaccard, jaccard_at_least, margin_px and review, 0 or 1, as
            columns of predictions.csv; otherwise empty.
    """

    mask: bytes
    assessed: dict[str, float | int]


class Client:
    """A client for one model of a server."""

    def __init__(
        self,
        url: str,
        *,
        threshold: float | None = None,
        timeout_seconds: float = 60,
        retries: int = 5,
        threads: int = 4,
    ) -> None:
        """Connect to a model.

        Args:
            url: of the model, e.g. http://localhost:8501/v1/models/lesion, with or without :predict.
            threshold: a pixel is lesion if its probability is above it; None uses the model's own.

        Raises:
            HamError: `url` does not start with http:// or https://.
        """
        if not url.startswith(("http://", "https://")):
            raise HamError(f"{url}: expected the model's address, e.g. http://localhost:8501/v1/models/lesion")
        self.url = url.removesuffix("/").removesuffix(":predict") + ":predict"
        self.threshold = threshold
        self.timeout_seconds = timeout_seconds
        self.threads = threads
        retry = Retry(
            total=retries,
            read=False,  # requests that time out are not retried
            backoff_factor=0.5,
            status_forcelist=BUSY,
            allowed_methods=None,
            raise_on_status=False,
        )
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=threads, max_retries=retry))

    def segment(self, path: Path | str) -> bytes:
        """Return the mask of one image file: a PNG of 0 and 255 at the image's size.

        Raises:
            HamError: the file cannot be read, the server cannot be reached, or it rejects the image.
        """
        return self.request(path).mask

    def request(self, path: Path | str) -> Served:
        """Return the mask of one image file and what the model says about it; raises as `segment`."""
        encoded = base64.b64encode(read_encoded(path)).decode("ascii")
        instance: dict[str, Any] = {"image_bytes": {"b64": encoded}}
        request: dict[str, Any] = {"signature_name": "serve_bytes", "instances": [instance]}
        if self.threshold is not None:
            request["signature_name"] = "serve_bytes_threshold"
            instance["threshold"] = self.threshold
        try:
            response = self.session.post(self.url, json=request, timeout=self.timeout_seconds)
        except requests.Timeout:
            raise HamError(f"{path}: no response from {self.url} within {self.timeout_seconds:g} seconds") from None
        except requests.RequestException as error:
            raise HamError(f"{path}: {self.url} cannot be reached: {type(error).__name__}") from None
        if not response.ok:
            raise HamError(f"{path}: {self.url} returned {response.status_code}: {_error_message(response)}")
        try:
            outputs = response.json()["predictions"][0]
            mask = base64.b64decode(outputs["mask_bytes"]["b64"], validate=True)
            assessed = {
                name: round(float(outputs[name]), places) for name, places in ASSESSED.items() if name in outputs
            }
            if "review" in outputs:
                assessed["review"] = int(bool(outputs["review"]))
            return Served(mask, assessed)
        except (ValueError, KeyError, IndexError, TypeError, binascii.Error):
            raise HamError(f"{path}: {self.url} returned no mask; is it a model exported by ham_keras?") from None

    def segment_files(self, paths: Iterable[Path | str]) -> Iterator[tuple[Path, Served | HamError]]:
        """Yield each file, in order, with the answer or the error."""

        def segment(path: Path | str) -> tuple[Path, Served | HamError]:
            try:
                return Path(path), self.request(path)
            except HamError as error:
                return Path(path), error

        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(segment, paths)


def _error_message(response: requests.Response) -> str:
    try:
        message = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        message = response.text
    return " ".join(message.split())[:LONGEST_MESSAGE]


def mask_path(folder: Path, image: Path) -> Path:
    """Where the mask of an image is written."""
    return folder / f"{image.stem}_segmentation.png"


def save_masks(results: Iterable[tuple[Path, Served | HamError]], folder: Path, report: Callable[[str], Any]) -> int:
    """Write <id>_segmentation.png for each file and report errors; returns how many files failed.

    If the model assesses its masks, trust.csv gets a row for each, also if it is interrupted; rows of images that are
    not among these stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed, rows = 0, {}
    replaced: set[str] = set()
    try:
        for path, result in results:
            if isinstance(result, HamError):
                failed += 1
                report(f"error: {result}")
                continue
            replaced.add(path.stem)
            save_bytes(mask_path(folder, path), result.mask)
            if result.assessed:
                rows[path.stem] = {"image_id": path.stem, **result.assessed}
    finally:
        former = load_assessments(folder)
        table = {image_id: row for image_id, row in former.items() if image_id not in replaced} | rows
        if table:
            save_csv(folder / TABLE, list(table.values()))
        elif former:
            (folder / TABLE).unlink(missing_ok=True)
    if rows:
        advised = sum(bool(row.get("review")) for row in rows.values())
        report(f"{folder / TABLE}: a review is advised for {advised} of {len(rows)} masks")
    return failed


def load_assessments(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of a folder's trust.csv by image id; empty if there is none.

    Raises:
        HamError: it is another table, which others have written.
    """
    path = folder / TABLE
    rows = load_csv(path) if path.exists() else []
    if any(row.keys() != {"image_id", *ASSESSED, "review"} for row in rows[:1]):
        raise HamError(f"{path}: exists and was not written by client; choose another -o")
    return {row["image_id"]: dict(row) for row in rows}
