"""The tensors of a folder as Hugging Face lays it out: one file, or several with an index."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from minids.hf_files import read_fields


class WeightsError(ValueError):
    """Weights that do not fit the config, or cannot be read. The message names tensors or file."""


class StoredTensors(Mapping[str, Tensor]):
    """The tensors of all safetensors files in a folder, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        listed: dict[str, str] = {}
        if index.is_file():
            listed = _listed(index)
            paths = [folder / name for name in sorted(set(listed.values()))]
        else:
            paths = sorted(folder.glob("*.safetensors"))
        lost = [path.name for path in paths if not path.is_file()]
        if lost or not paths:
            raise FileNotFoundError(
                f"{folder} lacks {', '.join(lost) or '*.safetensors'}: download it again. Other "
                "formats are not read, because a pickle runs code"
            )
        self._files: dict[str, Any] = {}
        where: dict[str, str] = {}
        for path in paths:
            file = _opened(path)
            for name in file.keys():  # noqa: SIM118
                if listed.get(name, path.name) != path.name:
                    continue  # left over from another save: the index names the file that counts
                if name in where:
                    raise WeightsError(
                        f"{name} lies in {where[name]} and in {path.name}: move the files of one "
                        "model away"
                    )
                self._files[name], where[name] = file, path.name

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _listed(index: Path) -> dict[str, str]:
    """The file of each tensor, as the index of a model in several files has it."""
    listed = read_fields(index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(x, str) for x in listed.values()):
        raise WeightsError(
            f"{index} has no weight_map that names a file for each tensor: download it again"
        )
    return listed


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors ({error}): download it again"
        ) from None
