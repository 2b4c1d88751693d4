"""The recorded machine and package versions."""

from __future__ import annotations

from ham_keras.environment import describe_environment


def test_environment_names_versions_and_command() -> None:
    environment = describe_environment("CPU", "float32")
    assert environment["packages"]["tensorflow"].startswith("2.21")
    assert environment["packages"]["segmentation-models"] == "1.0.1"
    assert environment["command"].startswith("python")
    assert environment["cpu_threads"] >= 1
