"""Versions of the config's keys, and how configs of earlier versions are read."""

from __future__ import annotations

import json
from typing import Any

from ham_keras.errors import HamError, NewerVersionError

VERSION = 2  # written to the config of a run; increment it when a key gets another name or meaning
RENAMED = {"score.threshold": "outline.threshold"}  # from version 1, which has no number: old section.key to new


def migrate(settings: dict[str, Any], source: str) -> dict[str, Any]:
    """Settings of a config file with the keys of this version, without the number of theirs.

    Raises:
        NewerVersionError: a later version of ham_keras wrote them.
        HamError: `version` is not a number, or as in `rename`.
    """
    version = settings.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise HamError(f"{source}: version: expected a whole number of 1 or more, got {json.dumps(version)}")
    if version > VERSION:
        raise NewerVersionError(
            f"{source}: has version {version}, written by a later ham_keras; this one reads versions 1 to {VERSION}: "
            f"update it"
        )
    return rename({key: value for key, value in settings.items() if key != "version"}, source)


def rename(settings: dict[str, Any], source: str) -> dict[str, Any]:
    """Rename the keys of earlier versions in settings, see `RENAMED`.

    Raises:
        HamError: the old and the new key are both set, to different values.
    """
    for old, new in RENAMED.items():
        (section, key), (new_section, new_key) = old.split("."), new.split(".")
        before, after = settings.get(section), settings.get(new_section, {})
        if not isinstance(before, dict) or key not in before or not isinstance(after, dict):
            continue
        value = before[key]
        if after.get(new_key, value) != value:
            raise HamError(
                f"{source}: {old}: renamed to {new}, which has another value ({json.dumps(value)} and "
                f"{json.dumps(after[new_key])}); remove {old}"
            )
        rest = {name: setting for name, setting in before.items() if name != key}
        settings = {**settings, section: rest, new_section: {**after, new_key: value}}
    return settings
