"""Config files: accepted values, inheritance, overrides and error messages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ham_keras.config import (
    Config,
    as_config,
    load_config,
    load_config_as,
    main,
    parse_config,
    shipped_configs,
    to_json,
)
from ham_keras.diagnose import diagnosis_reference
from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.errors import DamagedFileError, HamError, NewerVersionError
from ham_keras.reference.schema import config_reference, json_schema
from ham_keras.runs import differences
from ham_keras.search.space import TuneConfig, check_space
from ham_keras.settings import Outline
from ham_keras.settings.versions import VERSION
from ham_keras.tune import search_reference

SCHEMAS = {"schema.json": Config, "tune.schema.json": TuneConfig, "diagnosis.schema.json": DiagnosisConfig}
COMMANDS = {"schema.json": "config", "tune.schema.json": "tune", "diagnosis.schema.json": "diagnose"}
CONFIGS = sorted(path for path in Path("configs").glob("*.json") if path.name not in SCHEMAS)


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_base_config_is_the_recipe_of_the_report() -> None:
    config = load_config("configs/base.json")
    assert config.run.name == "base"
    assert (config.data.sample, config.data.image_size, config.data.group_by) == (4000, [128, 128], "lesion_id")
    assert config.data.split.model_dump() == {"train": 0.95, "val": 0.025, "test": 0.025}
    assert (config.model.architecture, config.model.backbone, config.model.encoder_weights) == (
        "unet", "resnet34", "imagenet",
    )  # fmt: skip
    train = config.train
    assert (train.epochs, train.batch_size, train.learning_rate, train.loss) == (20, 16, 1e-4, "dice")
    assert (train.schedule.name, train.early_stopping_epochs, train.ema_momentum) == ("constant", None, None)
    assert config.augment.engine == "none"


def test_former_name_of_the_threshold_is_accepted(tmp_path: Path) -> None:
    old = write(tmp_path, "old.json", {"score": {"threshold": 0.4, "bootstrap_resamples": 300}})
    config = load_config(old)
    assert (config.outline.threshold, config.score.bootstrap_resamples) == (0.4, 300)
    assert differences(config, load_config(write(tmp_path, "new.json", json.loads(to_json(config))))) == ""
    assert load_config(old, ["score.threshold=0.3"]).outline.threshold == 0.3
    assert load_config(old, ["outline.threshold=0.2"]).outline.threshold == 0.2
    assert load_config(old, {"score.threshold": 0.3}).outline.threshold == 0.3
    assert load_config(old, {"score": {"threshold": 0.3}, "outline": {"tta": True}}).outline == Outline(
        threshold=0.3, tta=True
    )
    child = write(tmp_path, "child.json", {"extends": "old.json", "outline": {"threshold": 0.7}})
    assert load_config(child).outline.threshold == 0.7
    same = {"score": {"threshold": 0.6}, "outline": {"threshold": 0.6, "tta": True}}
    assert parse_config(same, "same").outline == Outline(threshold=0.6, tta=True)
    assert same["score"] == {"threshold": 0.6}  # the argument is not modified
    tune = json.loads(Path("configs/tune.json").read_text()) | {"extends": str(Path("configs/base.json").resolve())}
    tune["score"] = {"threshold": 0.4}
    assert load_config_as(TuneConfig, write(tmp_path, "tune.json", tune)).outline.threshold == 0.4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"score": {"threshold": 0.4}, "outline": {"threshold": 0.5}},
            r"both\.json: score\.threshold: renamed to outline\.threshold, which has another value \(0\.4 and 0\.5\)",
        ),
        ({"score": {"threshold": 1.5}}, r"outline\.threshold: input should be less than 1, got 1\.5"),
        ({"score": {"threshold": 0.4}, "outline": 3}, r"outline: input should be"),
    ],
)
def test_invalid_threshold_raises_under_either_name(settings: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(HamError, match=message):
        load_config(write(tmp_path, "both.json", settings))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_config_loads_and_has_description_and_schema(path: Path) -> None:
    schema = json.loads(path.read_text())["$schema"]
    config = load_config_as(SCHEMAS[schema], path)
    assert len(config.description) > 80
    if isinstance(config, TuneConfig):
        check_space(config)


@pytest.mark.parametrize(("name", "kind"), SCHEMAS.items(), ids=SCHEMAS)
def test_schema_files_are_current(name: str, kind: type[Config]) -> None:
    command = f"python -m ham_keras.{COMMANDS[name]} --schema"
    assert Path("configs", name).read_text() == json_schema(kind), f"{command} > configs/{name}"


@pytest.mark.parametrize(
    ("page", "command", "text"),
    [
        ("config", "config", config_reference),
        ("search", "tune", search_reference),
        ("diagnosis", "diagnose", diagnosis_reference),
    ],
    ids=["config", "search", "diagnosis"],
)
def test_reference_pages_are_current(page: str, command: str, text: Callable[[], str]) -> None:
    path = Path("docs", "reference", f"{page}.md")
    assert path.read_text() == text(), f"python -m ham_keras.{command} --reference > {path}"


def test_extends_is_relative_to_its_file_and_merges_sections(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path, "parent.json", {"description": "not mine", "train": {"epochs": 3, "batch_size": 8}})
    child = write(tmp_path / "deep", "child.json", {"extends": "../parent.json", "train": {"epochs": 5}})
    config = load_config(child, ["train.learning_rate=0.01", "data.root=some folder", "model.encoder_weights=null"])
    assert (config.train.epochs, config.train.batch_size, config.train.learning_rate) == (5, 8, 0.01)
    assert (config.data.root, config.model.encoder_weights) == ("some folder", None)
    assert (config.run.name, config.description) == ("child", "")


def test_saved_config_reads_back_equal(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "a.json", {}), ["data.image_size=[96, 128]", "run.name=b"])
    assert load_config(write(tmp_path, "c.json", to_json(config))) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": {"learning_rat": 1}}, "train.learning_rat: unknown key, did you mean learning_rate?"),
        ({"trane": {}}, "trane: unknown key, did you mean train?"),
        ({"train": {"epochs": "20"}}, 'train.epochs: input should be a valid integer, got "20"'),
        ({"train": {"epochs": True}}, "train.epochs: input should be a valid integer, got true"),
        ({"train": {"batch_size": 0}}, "train.batch_size: input should be greater than or equal to 1, got 0"),
        ({"data": {"image_size": 100}}, "data.image_size: input should be a multiple of 32, got 100"),
        ({"data": {"image_size": [64, 64, 64]}}, "data.image_size: list should have at most 2 items"),
        ({"data": {"split": {"train": 1.5}}}, "data.split.train: input should be less than or equal to 1, got 1.5"),
        (
            {"data": {"split": {"train": 0.9, "val": 0.2}}},
            "data.split: train + val + test is 1.125, expected at most 1",
        ),
        (
            {"run": {"name": "../x"}},
            'run.name: expected a name without slashes and without a leading dot, got "../x"',
        ),
        ({"train": {"schedule": {"warmup_epochs": 30}}}, "train: schedule.warmup_epochs is 30, but epochs is 20"),
        ({"train": {"devices": ["gpu"]}}, 'train.devices: expected a list of devices, e.g. ["GPU:0"] or'),
        ({"train": {"devices": "GPU:0"}}, "train.devices: expected a list of devices"),
        ({"train": {"devices": []}}, "train.devices: list should have at least 1 item"),
        ({"train": {"devices": ["GPU:0", "GPU:0"]}}, "train.devices: expected each device once, got "),
        ({"train": {"devices": ["GPU:0", "CPU:0"]}}, "train.devices: expected GPUs or CPUs, not both, got "),
        ({"data": {"cache": "ram"}}, "data.cache: input should be 'memory', 'disk' or 'none', got \"ram\""),
        (
            {"model": {"backbone": "resnet-34"}},
            "model.backbone: is not one of those that build and reload under Keras 3; did you mean resnet34?",
        ),
        ({"augment": {"engine": "native"}, "data": {"image_size": [64, 96]}}, "augment.quarter_turns needs a square"),
        (
            {"model": {"architecture": "unnet"}},
            'model.architecture: is unknown; did you mean unet? known are fpn, linknet, mfsnet, unet, got "unnet"',
        ),
        ({"train": {"loss": "dicebce"}}, "train.loss: is unknown; did you mean dice_bce? known are "),
        (
            {"train": {"weight_decay": 0.1}},
            "train: weight_decay is 0.1, which adam does not use; set it to null, or optimizer to adamw",
        ),
        ({"train": {"initial_share": 0.5}}, "train.initial_share needs model.initial_weights"),
    ],
)
def test_invalid_setting_names_its_key(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    path = write(tmp_path, "wrong.json", settings)
    with pytest.raises(HamError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_adamw_has_a_default_weight_decay(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", {"train": {"optimizer": "adamw"}})
    config = load_config(path)
    assert config.train.weight_decay == 0.01
    assert load_config(write(tmp_path, "b.json", to_json(config)), ["run.name=a"]) == config
    assert load_config(path, ["train.weight_decay=0.1"]).train.weight_decay == 0.1
    assert load_config(path, ["train.optimizer=adam"]).train.weight_decay is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1,\n}', "wrong.json:2: not JSON"),
        ("[]", "expected a JSON object"),
        ({"extends": 3}, "extends: expected"),
        ('{"train": {"epochs": 3, "epochs": 4}}', r"wrong\.json: epochs: duplicate key"),
    ],
)
def test_invalid_file_raises(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(HamError, match=message):
        load_config(write(tmp_path, "wrong.json", content))


def test_missing_and_circular_parents_raise(tmp_path: Path) -> None:
    with pytest.raises(HamError, match=r"gone\.json: no such config file"):
        load_config(write(tmp_path, "a.json", {"extends": "gone.json"}))
    write(tmp_path, "b.json", {"extends": "c.json"})
    with pytest.raises(HamError, match="extends itself"):
        load_config(write(tmp_path, "c.json", {"extends": "b.json"}))


@pytest.mark.parametrize("override", ["train.epochs", "=3", "description.x=3"])
def test_malformed_override_raises(tmp_path: Path, override: str) -> None:
    with pytest.raises(HamError, match=r"expected section\.key=value|is not a section"):
        load_config(write(tmp_path, "a.json", {"description": "text"}), [override])


def test_command_prints_resolved_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write(tmp_path, "a.json", {})), "train.epochs=7"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["epochs"] == 7


PURE = (
    "config", "settings", "data.records", "data.masks", "data.splits", "data.audit", "data.phantom",
    "scores.summary", "scores.pairing", "scores.table", "files", "runs", "errors", "train", "evaluate",
    "compare", "results", "export", "client", "environment", "app", "diagnose", "models.registry",
    "models.initial_weights",
)  # fmt: skip


def test_pure_modules_and_help_do_not_import_tensorflow() -> None:
    names = ", ".join(f"ham_keras.{name}" for name in PURE)
    code = f"import sys, {names}; print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shipped_config_is_found_by_name_after_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path = load_config("configs/base.json")
    monkeypatch.chdir(tmp_path)
    assert load_config("base") == by_path and by_path.run.name == "base"
    (tmp_path / "base").mkdir()  # a folder is not a config
    assert load_config("base") == by_path
    child = write(tmp_path, "child.json", {"extends": "base", "train": {"epochs": 3}})
    assert load_config(child).data.sample == 4000
    (tmp_path / "base").rmdir()
    write(tmp_path, "base", {"data": {"sample": 7}})
    assert load_config("base").data.sample == load_config(child).data.sample == 7


def test_unknown_name_lists_all_shipped_configs(tmp_path: Path) -> None:
    assert set(shipped_configs()) == {path.stem for path in Path("configs").glob("*.json") if "schema" not in path.name}
    for name in shipped_configs():
        kind = SCHEMAS[json.loads(Path("configs", f"{name}.json").read_text())["$schema"]]
        assert load_config_as(kind, name).run.name == name
    for name in ("bass", "base.json", "schema", "../base", str(tmp_path / "base")):
        with pytest.raises(HamError) as raised:
            load_config(name)
        names = "base, best, diagnosis, diagnosis-sample, full, mfsnet, phantom, robust, sample, tune"
        expected = f"no such config file; expected a file, or a shipped config's name: {names}"
        assert str(raised.value) == f"{name}: {expected}"


def test_overrides_by_key_keep_their_types(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", {"data": {"sample": 5}})
    overrides = {"train.epochs": 7, "data": {"image_size": 64}, "data.root": tmp_path, "run.name": "007"}
    config = load_config(path, overrides)
    assert (config.train.epochs, config.data.image_size, config.data.root) == (7, [64, 64], str(tmp_path))
    assert config.data.sample == 5 and overrides["data"] == {"image_size": 64}
    assert config.run.name == "007"  # in a list of strings it would be parsed as JSON
    for wrong, message in (
        ({"train.epochs.x": 1}, "train.epochs.x: epochs is not a section"),
        ({"train.epoch": 1}, "train.epoch: unknown key, did you mean epochs?"),
        ({"train.epochs": "7"}, 'train.epochs: input should be a valid integer, got "7"'),
        ("train.epochs=7", "train.epochs=7: expected a list of section.key=value"),
    ):
        with pytest.raises(HamError, match=re.escape(message)):
            as_config(config, wrong)
    assert as_config(config, {"train.epochs": 8}) == load_config(path, {**overrides, "train.epochs": 8})
    assert as_config(config) is config


def test_config_of_another_version(tmp_path: Path) -> None:
    old = write(tmp_path, "old.json", {"score": {"threshold": 0.4}})
    assert load_config(old).outline.threshold == 0.4
    assert json.loads(to_json(load_config(old)))["version"] == VERSION == 2
    newer = write(tmp_path, "newer.json", {"version": VERSION + 1, "train": {"new_key": 1}})
    with pytest.raises(NewerVersionError, match=r"newer\.json: has version 3, written by a later ham_keras.*1 to 2"):
        load_config(newer)
    with pytest.raises(HamError, match=r"version: expected a whole number of 1 or more, got \"2\""):
        load_config(write(tmp_path, "text.json", {"version": "2"}))


@pytest.mark.parametrize("content", ["", "\n", "\0" * 4096])
def test_config_emptied_by_a_power_failure_is_an_error_of_its_own(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DamagedFileError, match=r"config\.json: empty; expected a JSON object"):
        load_config(tmp_path / "config.json")


def test_names_are_kept_as_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", {})
    for text in ("1.10", "2.50e1", "007", "1.0"):
        assert load_config(path, [f"run.name={text}"]).run.name == text
    path.write_text('{"run": {"name": 1.10}, "train": {"learning_rate": 1.0e-3}}')
    config = load_config(path)
    assert config.run.name == "1.10" and json.loads(to_json(config))["train"]["learning_rate"] == 0.001
    assert load_config(path, ["train.learning_rate=2.0e-4"]).train.learning_rate == 0.0002
