"""Hugging Face's weights, by name, into our models and back.

`names.py` says which tensor is which. DeepSeek-V3's files hold FP8 numbers with a scale for each
block of 128 x 128: they are multiplied out. Its MTP module, stored as one layer more, is no part
of the model: `mtp_weights` takes it out.

Left out: weights split over devices, and quantisation other than DeepSeek's FP8.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from minids.checkpoint import with_weights
from minids.config import ModelConfig
from minids.hf_files import read_config
from minids.model.fp8_formats import SQUARE, dequantise
from minids.model.transformer import Transformer, uncompiled
from minids.names import Source, Table, sources
from minids.stored_tensors import StoredTensors, WeightsError


def from_hf_weights(
    weights: Mapping[str, Tensor], c: ModelConfig, *, dtype: torch.dtype | None = None
) -> dict[str, Tensor]:
    """Return Hugging Face `weights` under our names, ready for `load_state_dict`.

    Missing, unknown and misshaped tensors raise a WeightsError that names them. `dtype` converts
    all but the experts' bias, which is float32 always; without it tensors may be shared with
    `weights`. MTP layers are passed over.
    """
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Transformer(c).state_dict().items()}
    table = sources(c)
    _refuse_other_names(table, weights, c)
    out = {}
    for ours, source in table.items():
        if isinstance(source, Source):
            tensor = _take(weights, source, shapes[ours])
        elif source.fused in weights:
            tensor = _take(weights, Source((source.fused,)), shapes[ours])
        else:
            tensor = torch.stack([_take(weights, one, shapes[ours][1:]) for one in source.each])
        out[ours] = tensor.to(torch.float32 if ours.endswith("router.bias") else dtype)
    return out | ({"head.weight": out["embed.weight"]} if c.tied else {})


def to_hf_weights(model: nn.Module, *, fused_experts: bool = False) -> dict[str, Tensor]:
    """Return the weights of a `Transformer`, compiled or not, under Hugging Face's names.

    Experts come one by one, as they lie on disk, or fused, as transformers 5 has them in memory.
    """
    plain = cast(Transformer, uncompiled(model))
    state, c = plain.state_dict(), plain.c
    out: dict[str, Tensor] = {}
    for ours, source in sources(c).items():
        if isinstance(source, Source):
            out |= _give(state[ours], source)
        elif fused_experts:
            out[source.fused] = state[ours]
        else:
            for tensor, one in zip(state[ours], source.each, strict=True):
                out |= _give(tensor, one)
    return out | ({"lm_head.weight": state["embed.weight"]} if c.tied else {})


def load_pretrained(
    folder: str | Path, *, dtype: torch.dtype = torch.float32, name: str | None = None
) -> Transformer:
    """Return the model in a local folder of `config.json` and `*.safetensors`, in eval mode.

    Every tensor is read once and converted to `dtype`; FP8 weights are multiplied out. A file that
    is missing, cut off or of another kind raises an error that names it.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give a folder as Hugging Face lays it out")
    c = read_config(path, name=name or folder.resolve().name)
    return with_weights(c, from_hf_weights(StoredTensors(folder), c, dtype=dtype)).eval()


def mtp_weights(weights: Mapping[str, Tensor], c: ModelConfig) -> list[dict[str, Tensor]]:
    """Return the tensors of every MTP module, under Hugging Face's names within its layer."""
    layers = [f"model.layers.{c.n_layers + i}." for i in range(c.mtp_depth)]
    return [
        {name.removeprefix(at): weights[name] for name in weights if name.startswith(at)}
        for at in layers
    ]


def _refuse_other_names(table: Table, weights: Mapping[str, Tensor], c: ModelConfig) -> None:
    present, needed = set(weights), set()
    for source in table.values():
        if isinstance(source, Source):
            needed |= set(source.names)
        elif source.fused in present:
            needed.add(source.fused)
        else:
            needed |= {name for one in source.each for name in one.names}
    passed_over = {f"{name}_scale_inv" for name in needed} | (
        {"lm_head.weight"} if c.tied else set()
    )
    mtp = tuple(f"model.layers.{c.n_layers + i}." for i in range(c.mtp_depth))
    unknown = {
        name
        for name in present - needed - passed_over
        if not name.startswith(mtp) and not name.endswith("rotary_emb.inv_freq")
    }
    for what, names in (("missing", needed - present), ("unknown", unknown)):
        if names:
            raise WeightsError(
                f"{len(names)} tensors are {what} for {c.name}: {_some(names)}. "
                "Do the config and the weights belong to one model?"
            )


def _some(names: set[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (" and others" if len(names) > len(first) else "")


def _take(weights: Mapping[str, Tensor], source: Source, shape: torch.Size) -> Tensor:
    """One of our tensors, put together from its parts."""
    parts = []
    for name, rows in zip(source.names, source.rows or shape[:1], strict=True):
        tensor, want = weights[name], (rows, *shape[1:])
        if tensor.shape != want:
            raise WeightsError(
                f"{name} has the shape {tuple(tensor.shape)}, the config says {want}"
            )
        scale = f"{name}_scale_inv"
        coded = tensor.element_size() == 1 or not tensor.is_floating_point()
        if coded and scale not in weights:
            raise WeightsError(
                f"{name} holds {tensor.dtype} and {scale} is missing: numbers without their scales "
                "mean nothing. Download the missing part, or take weights in bf16"
            )
        if scale in weights:
            if not coded or tensor.dim() != 2:
                raise WeightsError(
                    f"{name} holds {tensor.dtype} in the shape {tuple(tensor.shape)} and comes "
                    f"with {scale}: only matrices in FP8 have scales. Get the file again"
                )
            try:
                tensor = dequantise(tensor, weights[scale], SQUARE)
            except ValueError as error:
                raise WeightsError(f"{name}: {error}") from None
        parts.append(tensor)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _give(tensor: Tensor, source: Source) -> dict[str, Tensor]:
    """The parts of one of our tensors, by Hugging Face's names."""
    parts = tensor.split(source.rows) if source.rows else (tensor,)
    return dict(zip(source.names, parts, strict=True))
