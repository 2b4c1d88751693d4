"""The Dataverse API: reading a dataset, downloading files, and errors of unexpected answers."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from dataverse import DOI, Dataverse, as_tab, serve_dataverse

from ham_keras.data.sources import dataverse as dataverse_module
from ham_keras.data.sources.dataverse import RemoteFile, fetch, read_dataset
from ham_keras.errors import HamError

TABLE = b"id,dx\nISIC_1,nv\n"
BYTES = bytes(range(256)) * 20


@pytest.fixture
def dataverse() -> Dataverse:
    return Dataverse({"images.zip": BYTES, "table.csv": TABLE}, ingested=frozenset({"table.csv"}))


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not sleep: pooch and urllib3 wait some seconds before a retry."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


def test_original_of_a_table_is_listed(dataverse: Dataverse) -> None:
    with serve_dataverse(dataverse) as server:
        dataset = read_dataset(server + "/", DOI)
    assert (dataset.version, dataset.licence) == ("4.0", "CC BY-NC 4.0")
    assert dataset.page == f"{server}/dataset.xhtml?persistentId={DOI}"
    access = f"{server}/api/access/datafile"
    assert dataset.files == [
        RemoteFile("images.zip", f"{access}/1", 5120, f"md5:{hashlib.md5(BYTES).hexdigest()}"),
        RemoteFile("table.csv", f"{access}/2?format=original", 16, f"md5:{hashlib.md5(TABLE).hexdigest()}"),
    ]


@pytest.mark.parametrize(("licence", "known"), [("NONE", None), (None, None), ("CC0", "CC0")])
def test_licence_formats_of_older_servers(dataverse: Dataverse, licence: Any, known: str | None) -> None:
    dataverse.licence = licence
    with serve_dataverse(dataverse) as server:
        assert read_dataset(server, DOI).licence == known


def test_original_of_a_table_is_downloaded(dataverse: Dataverse, tmp_path: Path) -> None:
    with serve_dataverse(dataverse) as server:
        table = read_dataset(server, DOI).files[1]
        assert fetch(table, tmp_path).read_bytes() == TABLE
        taken_in = RemoteFile("other.csv", table.url.partition("?")[0], 16, table.checksum)
        with pytest.raises(HamError, match="sent bytes with another checksum"):
            fetch(taken_in, tmp_path, retries=0)
        right = RemoteFile("table.tab", taken_in.url, 16, f"md5:{hashlib.md5(as_tab(TABLE)).hexdigest()}")
        assert fetch(right, tmp_path).read_bytes() == as_tab(TABLE)


def test_other_checksum_algorithms(tmp_path: Path, dataverse: Dataverse) -> None:
    answer = dataverse.describe()
    sha256 = hashlib.sha256(BYTES).hexdigest()
    answer["data"]["latestVersion"]["files"][0]["dataFile"]["checksum"] = {"type": "SHA-256", "value": sha256}
    dataverse.dataset = json.dumps(answer).encode()
    with serve_dataverse(dataverse) as server:
        file = read_dataset(server, DOI).files[0]
        assert file.checksum == f"sha256:{sha256}"
        assert fetch(file, tmp_path).read_bytes() == BYTES


def test_verified_file_is_not_downloaded_again(dataverse: Dataverse, tmp_path: Path) -> None:
    with serve_dataverse(dataverse) as server:
        file = read_dataset(server, DOI).files[0]
        fetch(file, tmp_path)
        fetch(file, tmp_path)
        assert dataverse.served["images.zip"] == 1
        (tmp_path / "images.zip").write_bytes(b"half")
        assert fetch(file, tmp_path).read_bytes() == BYTES
    assert dataverse.served["images.zip"] == 2


@pytest.mark.usefixtures("no_waiting")
def test_temporary_failures_are_retried(
    dataverse: Dataverse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataverse.faults = {"dataset": [503, 429, 500], "images.zip": ["truncate", "corrupt", 503]}
    with serve_dataverse(dataverse) as server:
        file = read_dataset(server, DOI, retries=3).files[0]
        assert fetch(file, tmp_path, retries=3).read_bytes() == BYTES
    assert dataverse.served == {"dataset": 4, "images.zip": 4}
    assert capsys.readouterr().err.count("warning: images.zip: download incomplete or damaged; trying again") == 3


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("fault", "tries", "message"),
    [
        ("corrupt", 3, r"sent bytes with another checksum than md5:\w+, 3 times; they are deleted"),
        ("truncate", 3, r"cannot be reached, or broke off \(ProtocolError\)"),
        (503, 3, "answers 503: error"),
        (403, 1, "answers 403: error"),
        (404, 1, "answers 404: error"),
    ],
)
def test_permanent_failure_is_a_one_line_error_and_leaves_no_file(
    dataverse: Dataverse, tmp_path: Path, fault: int | str, tries: int, message: str
) -> None:
    dataverse.faults = {"images.zip": [fault] * 9}
    with serve_dataverse(dataverse) as server:
        file = read_dataset(server, DOI).files[0]
        with pytest.raises(HamError, match=rf"^images\.zip: {server}/api/access/datafile/1 {message}"):
            fetch(file, tmp_path, retries=2)
    assert dataverse.served["images.zip"] == tries
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>maintenance</html>", r"does not answer like the API of Dataverse \(the response: Invalid JSON"),
        (b"", r"\(the response: Invalid JSON"),
        (b'{"status": "OK", "data": {}}', r"\(data\.latestVersion: Field required\)"),
        (b'["a"]', r"\(the response: Input should be an object\)"),
    ],
)
def test_unexpected_answers_are_an_error(dataverse: Dataverse, answer: bytes, message: str) -> None:
    dataverse.dataset = answer
    with serve_dataverse(dataverse) as server, pytest.raises(HamError, match=message) as raised:
        read_dataset(server, DOI)
    assert "opens in a browser" in str(raised.value) and "\n" not in str(raised.value)


def test_unreachable_server_and_unknown_dataset_are_errors(
    dataverse: Dataverse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HamError, match=r"--server localhost: expected an https address such as https://dataverse"):
        read_dataset("localhost", DOI)
    with pytest.raises(HamError, match=r"cannot be reached, or broke off \(NewConnectionError\); check the network"):
        read_dataset("http://127.0.0.1:9", DOI, retries=0)
    with serve_dataverse(dataverse) as server, pytest.raises(HamError, match=r"answers 404: .*Dataset not found"):
        read_dataset(server, "doi:10.1/OTHER")

    def no_such_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(HamError, match=r"broke off \(NameResolutionError\)"):
        read_dataset("https://dataverse.invalid", DOI, retries=0)


def test_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataverse_module, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(HamError, match=r"no answer from .* in 0\.1 seconds"):
            read_dataset(server, DOI, retries=0)


def test_full_disk_is_an_error(dataverse: Dataverse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with serve_dataverse(dataverse) as server:
        file = read_dataset(server, DOI).files[0]
        with pytest.raises(HamError, match=r"images\.zip: cannot be written: .*No space left"):
            fetch(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://dataverse.harvard.edu", True),
        ("http://dataverse.harvard.edu", False),
        ("http://localhost:8080", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:80", True),
        ("http://localhost.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("ftp://localhost", False),
        ("https://", False),
    ],
)
def test_http_is_only_allowed_on_this_machine(address: str, safe: bool) -> None:
    assert dataverse_module.is_safe(address) == safe
    if not safe:
        with pytest.raises(HamError, match="expected an https address"):
            read_dataset(address, DOI, retries=0)
