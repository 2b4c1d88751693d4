"""Downloading HAM10000: the result, a second download, and an interrupted one."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dataverse import Dataverse, pack, pack_ham10000, serve_dataverse

from ham_keras.data.download import download, main
from ham_keras.data.records import find_records
from ham_keras.data.sources.dataverse import Dataset, RemoteFile
from ham_keras.data.sources.ham10000 import WANTED, choose_files, needed_bytes
from ham_keras.errors import HamError
from ham_keras.files import load_json, locked

PART_1, PART_2 = "HAM10000_images_part_1", "HAM10000_images_part_2"
METADATA, MASKS = "HAM10000_metadata", "HAM10000_segmentations_lesion_tschandl"
KINDS = {f"{PART_1}.zip": 1, f"{PART_2}.zip": 1, f"{METADATA}.csv": 1, f"{MASKS}.zip": 1}


@pytest.fixture
def dataverse(phantoms: Path) -> Dataverse:
    """The files of a server: 24 phantoms, packed like HAM10000."""
    tables = frozenset({f"{METADATA}.csv", "ISIC2018_Task3_Test_GroundTruth.csv"})
    return Dataverse(pack_ham10000(phantoms), ingested=tables)


@pytest.fixture
def server(dataverse: Dataverse) -> Iterator[str]:
    with serve_dataverse(dataverse) as address:
        yield address


def served(dataverse: Dataverse) -> dict[str, int]:
    return {name: times for name, times in dataverse.served.items() if name != "dataset"}


def test_download_unpacks_and_audits(
    dataverse: Dataverse, server: str, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "ham10000"
    assert main([str(root), "--server", server, "--other-release"]) == 0
    printed = capsys.readouterr().out
    assert "CC BY-NC 4.0: free for non-commercial use with credit" in printed
    assert "Scientific Data 5:180161 (2018)" in printed
    left_out = "ISIC2018_Task3_Test_Images.zip, ISIC2018_Task3_Test_GroundTruth.csv"
    assert f"not needed and skipped: {left_out}" in printed
    assert f"{root}: 24 pairs" in printed
    assert f"next: python -m ham_keras.train configs/base.json data.root={root}" in printed

    names = {path.name for path in root.iterdir()}
    assert names == {PART_1, PART_2, MASKS, f"{METADATA}.csv", "audit", "source.json", ".download.lock"}
    assert load_json(root / "audit" / "audit.json")["pairs"] == 24
    assert served(dataverse) == KINDS

    drawn, found = find_records(phantoms).records, find_records(root).records
    assert [(each.image_id, each.lesion_id, each.diagnosis) for each in found] == [
        (each.image_id, each.lesion_id, each.diagnosis) for each in drawn
    ]
    for here, there in zip(found, drawn, strict=True):
        assert here.image_path.read_bytes() == there.image_path.read_bytes()
        assert here.mask_path.read_bytes() == there.mask_path.read_bytes()

    source = load_json(root / "source.json")
    assert (source["doi"], source["version"]) == ("doi:10.7910/DVN/DBW86T", "4.0")
    assert source["files"].keys() == KINDS.keys()


def test_complete_files_are_kept_and_damaged_ones_downloaded_again(
    dataverse: Dataverse, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(tmp_path, server=server, other_release=True)
    download(tmp_path, server=server, other_release=True)
    assert served(dataverse) == KINDS
    assert f"{tmp_path}: 4 of 4 files are present and complete" in capsys.readouterr().out
    victim = next((tmp_path / PART_2).glob("*.jpg"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    download(tmp_path, server=server, other_release=True)
    assert victim.read_bytes() == whole
    assert served(dataverse) == KINDS | {f"{PART_2}.zip": 2}
    assert f"{tmp_path}: 3 of 4 files are present and complete" in capsys.readouterr().out


def test_new_version_replaces_changed_files(dataverse: Dataverse, server: str, tmp_path: Path, phantoms: Path) -> None:
    download(tmp_path, server=server, other_release=True)
    one = next((phantoms / "images").iterdir())
    dataverse.files[f"{PART_1}.zip"] = pack({one.name: one.read_bytes()})
    download(tmp_path, server=server, other_release=True)
    assert [path.name for path in (tmp_path / PART_1).glob("*.jpg")] == [one.name]
    assert served(dataverse) == KINDS | {f"{PART_1}.zip": 2}


def test_existing_archives_are_used(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    archives = tmp_path / "archives"
    archives.mkdir()
    (archives / f"{PART_1}.zip").write_bytes(dataverse.files[f"{PART_1}.zip"])
    (archives / f"{PART_2}.zip").write_bytes(dataverse.files[f"{PART_2}.zip"][:-1])
    download(tmp_path, server=server, keep_archives=True, other_release=True)
    assert sorted(path.name for path in archives.iterdir()) == [f"{PART_1}.zip", f"{PART_2}.zip", f"{MASKS}.zip"]
    shutil.rmtree(tmp_path / MASKS)
    download(tmp_path, server=server, other_release=True)
    assert served(dataverse) == {name: 1 for name in KINDS if name != f"{PART_1}.zip"}
    assert sorted(path.name for path in archives.iterdir()) == [f"{PART_1}.zip", f"{PART_2}.zip"]


def test_killed_download_is_continued(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    root = tmp_path / "ham10000"
    dataverse.faults = {f"{PART_2}.zip": ["stall"]}
    command = [sys.executable, "-m", "ham_keras.data.download", str(root), "--server", server, "--other-release"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert dataverse.stalled.wait(120), "the second archive was never asked for"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    dataverse.release.set()
    assert [path.name for path in root.glob("archives/*") if not path.name.startswith("tmp")] == []
    assert len(list(root.glob("archives/tmp*"))) == 1
    assert not (root / PART_2).exists()
    with pytest.raises(HamError, match="no folder of masks"):  # an incomplete download cannot be used by mistake
        find_records(root)

    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{root}: 2 of 4 files are present and complete" in done.stdout
    assert served(dataverse) == KINDS | {f"{PART_2}.zip": 2}
    assert len(find_records(root).records) == 24
    assert not (root / "archives").exists()


def test_wrong_bytes_stop_the_download_and_are_deleted(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    dataverse.faults = {f"{PART_1}.zip": ["corrupt"]}
    command = [
        sys.executable,
        "-m",
        "ham_keras.data.download",
        str(tmp_path),
        "--server",
        server,
        "--other-release",
        "--retries",
        "0",
    ]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 2
    error = failed.stderr.strip()
    assert error.startswith(f"error: {PART_1}.zip: {server}/api/access/datafile/1 sent bytes with another checksum")
    assert "\n" not in error
    assert list((tmp_path / "archives").iterdir()) == []
    assert (tmp_path / f"{METADATA}.csv").read_bytes() == dataverse.files[f"{METADATA}.csv"]
    download(tmp_path, server=server, other_release=True)
    assert len(find_records(tmp_path).records) == 24


def test_exit_status_is_that_of_the_audit(dataverse: Dataverse, server: str, tmp_path: Path, phantoms: Path) -> None:
    images = {path.name: path.read_bytes() for path in (phantoms / "images").iterdir()}
    images[min(images)] = images[min(images)][:400]
    dataverse.files[f"{PART_1}.zip"] = pack(images)
    dataverse.files[f"{PART_2}.zip"] = pack({"ISIC_1.jpg": images[max(images)]})
    assert main([str(tmp_path), "--server", server, "--other-release"]) == 1
    assert load_json(tmp_path / "audit" / "audit.json")["counts"]["truncated_image"] == 1


def test_full_disk_is_reported_before_the_download(
    dataverse: Dataverse, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 50_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))  # type: ignore[attr-defined]
    with pytest.raises(HamError, match=rf"{tmp_path}: the download needs 0\.10 GB and 0\.05 GB are free; make room"):
        download(tmp_path, server=server, other_release=True)
    assert served(dataverse) == {}


def remote(name: str, size_bytes: int) -> RemoteFile:
    return RemoteFile(name, f"https://example.org/{name}", size_bytes, "md5:0")


def test_needed_bytes(tmp_path: Path) -> None:
    """Worked out by hand, with 100 MB in reserve."""
    files = [remote("a.zip", 1000), remote("b.zip", 3000), remote("c.zip", 10)]
    # The 1000 bytes of a are unpacked while b is packed and unpacked.
    assert needed_bytes(files, tmp_path, False) == 100_000_000 + 1000 + 6000
    assert needed_bytes(files, tmp_path, True) == 100_000_000 + 2 * 4010
    (tmp_path / "b.zip").write_bytes(bytes(3000))
    assert needed_bytes(files, tmp_path, False) == 100_000_000 + 1000 + 3000
    (tmp_path / "b.zip").write_bytes(bytes(2999))  # incomplete, so it is downloaded again
    assert needed_bytes(files, tmp_path, False) == 100_000_000 + 1000 + 6000


def test_missing_file_in_the_dataset_is_an_error(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    del dataverse.files[f"{MASKS}.zip"]
    with pytest.raises(HamError, match=rf"expected one file {MASKS}, found 0; the dataset holds: '{PART_1}\.zip', "):
        download(tmp_path / "new", server=server, other_release=True)
    assert not (tmp_path / "new").exists()


def test_files_are_matched_without_suffix() -> None:
    names = (METADATA, f"{MASKS}.zip", f"{PART_2}.zip", f"{PART_1}.zip", "other")
    files = [remote(name, 1) for name in names]
    chosen = choose_files(Dataset("page", "1.0", None, files), other_release=True)
    assert [file.name for file in chosen] == [f"{METADATA}.csv", f"{PART_1}.zip", f"{PART_2}.zip", f"{MASKS}.zip"]
    assert [file.url for file in chosen] == [files[place].url for place in (0, 3, 2, 1)]


def test_other_release_needs_an_option(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    with pytest.raises(HamError, match=r"HAM10000_metadata\.csv has md5:.* there and md5:8f85fb.*--other-release"):
        download(tmp_path / "new", server=server)
    assert not (tmp_path / "new").exists() and served(dataverse) == {}
    known = [dataclasses.replace(remote(name, 1), checksum=checksum.upper()) for name, checksum in WANTED.items()]
    assert len(choose_files(Dataset("page", "4.0", None, known))) == 4


@pytest.mark.parametrize("name", ["../../x/HAM10000_metadata.bak", "/etc/HAM10000_metadata", "..", "a/b.zip"])
def test_names_from_the_server_are_never_paths(name: str, dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    dataverse.files[name] = b"evil"
    if name.endswith(".bak"):
        del dataverse.files[f"{METADATA}.csv"]
        with pytest.raises(HamError, match=rf"expected one file {METADATA}, found 0"):
            download(tmp_path / "a" / "b" / "root", server=server, other_release=True)
        assert not list(tmp_path.rglob("*.bak"))
    else:
        download(tmp_path / "a" / "b" / "root", server=server, other_release=True)
        assert dataverse.served[name] == 0


def test_other_licence_is_reported(dataverse: Dataverse, server: str, tmp_path: Path, capsys: Any) -> None:
    download(tmp_path, server=server, other_release=True)
    assert capsys.readouterr().err == ""
    dataverse.licence = {"name": "CC0 1.0", "uri": "https://example.org"}
    download(tmp_path, server=server, other_release=True)
    assert "warning: the server gives another licence, 'CC0 1.0': read its terms at" in capsys.readouterr().err


def test_foreign_files_are_reported_before_the_download(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    (tmp_path / f"{METADATA}.csv").write_text("mine")
    with pytest.raises(HamError, match=rf"{METADATA}\.csv: exists and differs from the file on the server; move"):
        download(tmp_path, server=server, other_release=True)
    (tmp_path / f"{METADATA}.csv").unlink()
    (tmp_path / PART_2).mkdir()
    (tmp_path / PART_2 / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(HamError, match=rf"{PART_2}: exists and was not unpacked by this command"):
        download(tmp_path, server=server, other_release=True)
    assert served(dataverse) == {}


def test_folder_is_locked_during_the_download(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    held = "another process is working on it; wait, or choose another folder"
    with locked(tmp_path, ".download.lock"), pytest.raises(HamError, match=held):
        download(tmp_path, server=server, other_release=True)
    assert served(dataverse) == {}


def test_unsafe_zip_is_not_unpacked(dataverse: Dataverse, server: str, tmp_path: Path) -> None:
    dataverse.files[f"{PART_1}.zip"] = pack({"a.jpg": b"a", "../../b.jpg": b"b"})
    with pytest.raises(HamError, match=rf"{PART_1}\.zip: not a zip of plain images.*'\.\./\.\./b\.jpg' is outside"):
        download(tmp_path / "deep" / "root", server=server, other_release=True)
    assert not list(tmp_path.rglob("*.jpg"))


def test_help_does_not_import_tensorflow() -> None:
    code = "import sys, ham_keras.data.download; print(sorted({'tensorflow', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
