"""Nested values as plain JSON and named tensors, and back without loss: no pickle.

JSON knows no tuples, no keys but strings, no types and no tensors; tags stand for them:
{"tuple": [...]}, {"dict": [[key, value], ...]}, {"type": "MLAConfig", ...}, {"tensor": name}.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from minids.config import (
    GQAConfig,
    Llama3RopeConfig,
    MLAConfig,
    ModelConfig,
    MoEConfig,
    YarnConfig,
)

_CONFIGS = {
    kind.__name__: kind
    for kind in (ModelConfig, GQAConfig, MLAConfig, MoEConfig, YarnConfig, Llama3RopeConfig)
}


def encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return `value` as JSON, and put its tensors into `tensors` under the path that led to them.

    A tensor that occurs twice, as tied weights do, is stored once. `name` is what messages call
    the value; a type that cannot be stored is refused with the path to it.
    """
    return _encode(value, name, "", tensors, {})


def _encode(
    value: Any, root: str, path: str, tensors: dict[str, Tensor], seen: dict[Any, str]
) -> Any:
    def inside(key: Any, item: Any) -> Any:
        return _encode(item, root, f"{path}.{key}" if path else str(key), tensors, seen)

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        where = (
            value.data_ptr(),
            value.dtype,
            value.shape,
            value.stride(),
            value.is_conj(),
            value.is_neg(),
        )
        known = where if value.data_ptr() else id(value)
        if known not in seen:
            seen[known] = _free(path or "value", tensors)
        stored = seen[known]
        tensors[stored] = value
        return {"tensor": stored}
    if isinstance(value, list):
        return [inside(i, item) for i, item in enumerate(value)]
    if type(value) is tuple:
        return {"tuple": [inside(i, item) for i, item in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"dict": [[_key(k, root, path), inside(k, item)] for k, item in value.items()]}
    if is_dataclass(value) and type(value).__name__ in _CONFIGS:
        content = {f.name: inside(f.name, getattr(value, f.name)) for f in fields(value)}
        return {"type": type(value).__name__} | content
    raise ValueError(
        f"{root}{'.' if path else ''}{path} is a {type(value).__name__}: only numbers, strings, "
        "lists, tuples, dicts, tensors and configs can be stored; convert it first"
    )


def _free(name: str, tensors: Mapping[str, Tensor]) -> str:
    """The name, or one like it: {"a.b": ...} and {"a": {"b": ...}} lead along the same path."""
    numbers = (f"{name} {n}" for n in range(2, len(tensors) + 3))
    return name if name not in tensors else next(n for n in numbers if n not in tensors)


def _key(key: Any, root: str, path: str) -> Any:
    if not isinstance(key, bool | int | float | str):
        raise ValueError(f"{root}.{path} has the key {key!r}: keys must be strings or numbers")
    return key


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return what was encoded."""
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(decode(item, tensors) for item in value["tuple"])
    if "dict" in value:
        return {key: decode(item, tensors) for key, item in value["dict"]}
    content = {key: decode(item, tensors) for key, item in value.items() if key != "type"}
    if value.get("type") not in _CONFIGS:
        raise ValueError(f"{value.get('type')!r} is no type that this version of minids knows")
    return _CONFIGS[value["type"]](**content)
