"""List and download the files of a dataset on a Dataverse server, with verification.

Two calls of the API are used (https://guides.dataverse.org/en/latest/api/):
`/api/datasets/:persistentId/?persistentId=DOI` returns the JSON of the dataset, and `/api/access/datafile/ID` returns a
file or redirects to it. Dataverse converts uploaded tables to .tab files, but their checksum is that of the uploaded
file, so `?format=original` is downloaded.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from pydantic import BaseModel, Field, ValidationError
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from ham_keras.environment import package_version
from ham_keras.errors import HamError, warn

# The firewall at Harvard answers 403 to the default user agent of requests.
HEADERS = {"User-Agent": f"ham-keras/{package_version('ham-keras') or 'source'}"}
TEMPORARY = (408, 429, 500, 502, 503, 504)  # statuses worth another try
TIMEOUT_SECONDS = 60  # without receiving a byte
CHUNK_BYTES = 2**20
LONGEST_MESSAGE = 200  # characters quoted from a server's response
NO_LICENCE = (None, "NONE")  # sent by servers if the terms are free text


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as uploaded; `checksum` has the form of pooch, `md5:...`."""

    name: str
    url: str
    size_bytes: int
    checksum: str

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` is this one."""
        algorithm, _, value = self.checksum.partition(":")
        return path.is_file() and pooch.file_hash(path, alg=algorithm) == value.lower()


@dataclass(frozen=True)
class Dataset:
    """The latest version of a dataset; `licence` is None if the server gives none."""

    page: str
    version: str
    licence: str | None
    files: Sequence[RemoteFile]


class _Checksum(BaseModel):
    type: Literal["MD5", "SHA-1", "SHA-256", "SHA-512"]
    value: str


class _DataFile(BaseModel):
    id: int
    filename: str
    filesize: int
    checksum: _Checksum
    original_format: str | None = Field(None, alias="originalFileFormat")
    original_name: str | None = Field(None, alias="originalFileName")
    original_size: int | None = Field(None, alias="originalFileSize")


class _Entry(BaseModel):
    file: _DataFile = Field(alias="dataFile")


class _Licence(BaseModel):
    name: str


class _Version(BaseModel):
    major: int = Field(alias="versionNumber")
    minor: int = Field(alias="versionMinorNumber")
    licence: _Licence | str | None = Field(None, alias="license")
    files: list[_Entry]


class _Data(BaseModel):
    latest: _Version = Field(alias="latestVersion")


class _Answer(BaseModel):
    data: _Data


def read_dataset(server: str, doi: str, *, retries: int = 3) -> Dataset:
    """Request the contents of a dataset from the server.

    Raises:
        HamError: not an https address, the server cannot be reached, does not have the dataset, or does not answer
            like Dataverse.
    """
    if not is_safe(server):
        raise HamError(f"--server {server}: expected an https address such as https://dataverse.harvard.edu")
    server = server.rstrip("/")
    url = f"{server}/api/datasets/:persistentId/"
    retry = Retry(total=retries, backoff_factor=0.5, status_forcelist=TEMPORARY, raise_on_status=False)
    with requests.Session() as session:
        session.mount(server, HTTPAdapter(max_retries=retry))
        try:
            response = session.get(url, params={"persistentId": doi}, headers=HEADERS, timeout=TIMEOUT_SECONDS)
            response.raise_for_status()
            unsafe = next((each.url for each in (*response.history, response) if not is_safe(each.url)), None)
            if unsafe:
                raise HamError(f"{doi}: {server} redirects to {unsafe}, which is not encrypted; try again later")
            latest = _Answer.model_validate_json(response.content).data.latest
        except requests.RequestException as error:
            raise HamError(f"{doi}: {_reason(error, url)}") from None
        except ValidationError as error:
            first = error.errors()[0]
            location = ".".join(map(str, first["loc"])) or "the response"
            raise HamError(
                f"{doi}: {server} does not answer like the API of Dataverse ({location}: {first['msg']}); check that "
                f"{_page(server, doi)} opens in a browser, and try again later"
            ) from None
    licence = latest.licence.name if isinstance(latest.licence, _Licence) else latest.licence
    return Dataset(
        page=_page(server, doi),
        version=f"{latest.major}.{latest.minor}",
        licence=None if licence in NO_LICENCE else licence,
        files=[_remote_file(server, entry.file) for entry in latest.files],
    )


def is_safe(address: str) -> bool:
    """Whether the response cannot be changed in transit: https, or a server on this machine."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    local = host == "localhost"
    with contextlib.suppress(ValueError):
        local = local or ipaddress.ip_address(host).is_loopback
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and local))


def _page(server: str, doi: str) -> str:
    return f"{server}/dataset.xhtml?persistentId={doi}"


def _remote_file(server: str, file: _DataFile) -> RemoteFile:
    url = f"{server}/api/access/datafile/{file.id}"
    checksum = f"{file.checksum.type.lower().replace('-', '')}:{file.checksum.value}"  # pooch expects sha256
    if file.original_format is None:
        return RemoteFile(file.filename, url, file.filesize, checksum)
    name, size = file.original_name or file.filename, file.original_size or file.filesize
    return RemoteFile(name, f"{url}?format=original", size, checksum)


def fetch(file: RemoteFile, folder: Path, *, retries: int = 3) -> Path:
    """Download a file to `folder` and verify it; an existing file with the right checksum is kept.

    pooch writes to a temporary name (`tmp...`), compares the checksum, and renames.

    Raises:
        HamError: the server cannot be reached, refuses the file, or sends bytes with a wrong checksum every time.
    """
    tries = count()

    def transfer(url: str, output: str, store: pooch.Pooch) -> None:
        if next(tries):
            warn(f"{file.name}: download incomplete or damaged; trying again")
        with _Bar(desc=file.name, total=file.size_bytes, unit="B", unit_scale=True, disable=None) as bar:
            get = pooch.HTTPDownloader(bar, CHUNK_BYTES, headers=HEADERS, timeout=TIMEOUT_SECONDS)
            try:
                get(url, output, store)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code in TEMPORARY:
                    raise
                raise HamError(f"{file.name}: {_reason(error, url)}") from None

    pooch.get_logger().setLevel("WARNING")
    known = {file.name: file.checksum}
    store = pooch.Pooch(folder, base_url="", registry=known, urls={file.name: file.url}, retry_if_failed=retries)
    try:
        return Path(store.fetch(file.name, downloader=transfer))
    except requests.RequestException as error:
        raise HamError(f"{file.name}: {_reason(error, file.url)}") from None
    except ValueError:
        raise HamError(
            f"{file.name}: {file.url} sent bytes with another checksum than {file.checksum}, {next(tries)} times; "
            f"they are deleted; try again later"
        ) from None
    except OSError as error:
        raise HamError(f"{folder / file.name}: cannot be written: {error}") from None


class _Bar(tqdm):  # type: ignore[type-arg]
    """pooch resets the bar before filling it at the end; this resets the count but not the elapsed time."""

    def reset(self, total: float | None = None) -> None:
        self.n = 0


def _reason(error: requests.RequestException, url: str) -> str:
    if error.response is not None:
        words = " ".join(error.response.text.split())[:LONGEST_MESSAGE]
        return f"{url} answers {error.response.status_code}: {words}"
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause  # of urllib3, if its retries are used up
    if isinstance(cause, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return f"no answer from {url} in {TIMEOUT_SECONDS} seconds; try again later"
    kind = type(cause if isinstance(cause, Exception) else error).__name__
    return f"{url} cannot be reached, or broke off ({kind}); check the network and HTTPS_PROXY, and try again"
