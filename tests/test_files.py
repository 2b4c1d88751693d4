"""Atomic writes of files and folders, and locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from limits import largest_file
from PIL import Image

from ham_keras.errors import HamError
from ham_keras.files import (
    creating_folder,
    locked,
    part_of,
    remove_parts,
    replacing,
    replacing_folder,
    save_csv,
    save_json,
    save_text,
)
from ham_keras.files.temporary import MACHINE


def killed_in(block: str, folder: Path) -> None:
    """Run code in a separate process that kills itself when the code calls `die()`."""
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom ham_keras import files\n"
        f"folder, die = Path({str(folder)!r}), lambda: os.kill(os.getpid(), signal.SIGKILL)\n{block}"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL


def test_locked_folder_refuses_another_process(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from ham_keras.files import locked\nwith locked(Path({str(tmp_path)!r})): pass"
    with locked(tmp_path):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert other.returncode == 1 and "another process is working on it" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_text(tmp_path / "a.txt", "old")

    def broken(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        save_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"


def test_csv_and_json(tmp_path: Path) -> None:
    save_csv(tmp_path / "deep" / "a.csv", [{"id": "a,b", "n": 1}, {"id": "c", "n": 2}])
    assert (tmp_path / "deep" / "a.csv").read_text() == 'id,n\n"a,b",1\nc,2\n'
    save_json(tmp_path / "a.json", {"b": [1]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1]}


def test_write_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"is not a regular file.*pipe"):
        save_text(pipe, "text")
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_killed_write_keeps_the_old_file_and_its_temporary_file_is_removed(tmp_path: Path) -> None:
    save_text(tmp_path / "a.txt", "old")
    killed_in("with files.replacing(folder / 'a.txt') as part:\n    part.write_text('half'); die()", tmp_path)
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 2
    mine = part_of(tmp_path / "b.txt")
    mine.touch()
    remove_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.txt", mine])  # this process still runs


def test_folder_is_created_atomically_and_never_replaces_another(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), creating_folder(tmp_path / "a") as part:
        (part / "half").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with creating_folder(tmp_path / "a") as part:
        (part / "whole").touch()
    with pytest.raises(OSError, match="not empty"), creating_folder(tmp_path / "a"):
        pass
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["whole"]


def test_folder_is_kept_if_killed_while_writing_its_replacement(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    killed_in("with files.replacing_folder(folder / 'a') as part:\n    (part / 'new').touch(); die()", tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["old"]


def test_folder_is_restored_if_killed_between_the_two_renames(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    block = """
rename = Path.rename
Path.rename = lambda path, target: die() if path.name.startswith(".part") else rename(path, target)
with files.replacing_folder(folder / "a"):
    pass
"""
    killed_in(block, tmp_path)
    assert not (tmp_path / "a").exists()
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "a"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["old"]
    with replacing_folder(tmp_path / "a") as part:
        (part / "new").touch()
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]


def test_full_disk_leaves_no_debris_and_names_the_file(tmp_path: Path) -> None:
    """The limit lets small files through, as an almost full disk does."""
    save_text(tmp_path / "a.txt", "old")
    with replacing_folder(tmp_path / "masks") as part:
        (part / "old.png").touch()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    with largest_file(1000):
        with pytest.raises(OSError) as raised:
            save_text(tmp_path / "a.txt", "new" * 1000)
        assert raised.value.filename == str(tmp_path / "a.txt")
        with pytest.raises(OSError) as raised, replacing_folder(tmp_path / "masks") as part:
            picture.save(part / "a.png")
        assert raised.value.filename == str(tmp_path / "masks")
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 2
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["old.png"]


def test_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, creating_folder(tmp_path / "a"):
        (tmp_path / "source").read_bytes()
    assert raised.value.filename == str(tmp_path / "source")


def test_files_and_folders_are_flushed_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    save_json(tmp_path / "a.json", {})
    assert flushed[0].parent == tmp_path and flushed[0].name.endswith("a.json") and flushed[1:] == [tmp_path]
    with creating_folder(tmp_path / "b") as part:
        (part / "c").touch()
    assert {path.name for path in flushed[2:]} >= {"c", tmp_path.name}


def test_temporary_names_are_unique_and_fit_where_the_name_does(tmp_path: Path) -> None:
    longest = tmp_path / f"{'x' * 251}.txt"
    assert part_of(longest) != part_of(longest) and part_of(longest).suffix == ".txt"
    save_text(longest, "whole")
    assert longest.read_text() == "whole"


def test_temporary_files_of_other_machines_are_removed_after_a_day(tmp_path: Path) -> None:
    fresh, old = (tmp_path / f".part-1-{machine}-00000000.a" for machine in ("xxxx", "yyyy"))
    for path in (fresh, old):
        path.touch()
    os.utime(old, (0, 0))
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [fresh]


def test_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    held = tmp_path / ".lock.held"
    with locked(tmp_path):
        assert "warning: " in (printed := capsys.readouterr().err) and "has no locks" in printed and held.exists()
        with (
            pytest.raises(HamError, match=r"another process is working on it; .*if it was killed, delete .*lock\.held"),
            locked(tmp_path),
        ):
            pass
        assert held.exists()
    assert not held.exists()
    held.write_text(f"{MACHINE} 4194305")  # a process that does not exist
    with locked(tmp_path):
        pass
    held.write_text(f"{MACHINE} 4194305")
    read = Path.read_text

    def created_meanwhile(path: Path) -> str:  # between reading the stale lock and removing it
        text = read(path)
        if path == held:
            held.write_text(f"{MACHINE} {os.getpid()}")
        return text

    with monkeypatch.context() as patched, pytest.raises(HamError, match="another process is working on it"):
        patched.setattr(Path, "read_text", created_meanwhile)
        with locked(tmp_path):
            pass
    assert held.read_text() == f"{MACHINE} {os.getpid()}"
    held.write_text("xxxx 4194305")  # of another machine
    with pytest.raises(HamError, match="delete"), locked(tmp_path):
        pass
