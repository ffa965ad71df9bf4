"""Hugging Face's files of JSON on a disk: read, or refused by name.

People bring such files themselves, so anything may be in them: half a download, or another format.
"""

import json
from pathlib import Path
from typing import Any

from minids.config import ConfigError, ModelConfig
from minids.huggingface import from_hf


def read_fields(path: Path) -> dict[str, Any]:
    """Return the fields of a JSON file; ValueError names the file if it holds none."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is a ValueError, too
        raise ValueError(
            f"{path} is not JSON: {error}. Was it downloaded as a whole? Get it again"
        ) from None
    if not isinstance(fields, dict):
        raise ValueError(f"{path} holds a {type(fields).__name__}, not fields in curly brackets")
    return fields


def read_config(path: Path, *, name: str) -> ModelConfig:
    """Return the config that a `config.json` describes; ValueError names file and field."""
    fields = read_fields(path)
    try:
        return from_hf(fields, name=name)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise ConfigError(
            f"{path}: a field has a value of the wrong kind ({type(error).__name__}: {error})"
        ) from None
