"""The JSON Schema and the reference page of a config, from the models that check it."""

from __future__ import annotations

import json

from ham_keras.config import Config
from ham_keras.reference.tables import settings_tables


def json_schema(kind: type[Config] = Config) -> str:
    """The JSON Schema of a config file of this kind, `extends` included."""
    schema = kind.model_json_schema(by_alias=True)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "A config that these settings are laid over: relative to this file, or a shipped one's name.",
    }
    size = schema["$defs"]["Data"]["properties"]["image_size"]
    side = {"type": "integer", "minimum": 32, "maximum": 4096, "multipleOf": 32}
    schema["$defs"]["Data"]["properties"]["image_size"] = {
        "description": size["description"],
        "default": size["default"],
        "anyOf": [side, {"type": "array", "items": side, "minItems": 2, "maxItems": 2}],
    }
    return json.dumps(schema, indent=2) + "\n"


def config_reference() -> str:
    """Every key of a run's config as Markdown."""
    return (
        "# Config of a run\n\nWritten by `python -m ham_keras.config --reference` from the models that check a "
        "config; a search has [more](search.md).\nAny key can be set on the command line as `section.key=value`.\n\n"
        + settings_tables(json.loads(json_schema()))
    )
