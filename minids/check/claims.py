"""A claim about a learner's function, and the comparisons that claims are made of."""

import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

Attempt = Callable[..., Any]  # the learner's function, or class


class Claim(NamedTuple):
    """A sentence about the learner's function, whether it holds, and what usually went wrong."""

    says: str
    holds: bool
    hint: str


class Refused(Exception):
    """A claim cannot even be asked: `says` what came instead, and a `hint`."""

    def __init__(self, says: str, hint: str) -> None:
        super().__init__(f"{says}: {hint}")
        self.says, self.hint = says, hint


PLAIN = (Tensor, Parameter, bool, int, float, str)


def plain(value: Any) -> None:
    """Refuse a tensor, number or word of a kind of one's own: it could compare as it likes."""
    ours = type(value) in PLAIN or not isinstance(value, PLAIN)
    if not ours and type(value).__module__.partition(".")[0] not in ("numpy", "torch"):
        base = next(kind for kind in PLAIN if isinstance(value, kind))
        raise Refused(
            f"your function returns {type(value).__name__}, a kind of {base.__name__} of its own",
            f"return a plain {base.__name__}.",
        )


def close(got: Any, expected: Any, *, rtol: float = 1e-4) -> bool:
    """Whether `got` differs from `expected` by at most `rtol` of the largest expected size.

    A tensor of few bits is given the room of its last digits. Shapes must be equal: nothing is
    broadcast (Refused). An expected value near zero would make any answer pass or fail by
    accident; that is a fault of the checker (AssertionError).
    """
    want = _wide(expected)
    if not isinstance(got, Tensor | numbers.Real) or (isinstance(got, Tensor) and got.is_complex()):
        raise Refused(
            f"real numbers were expected, and a {type(got).__name__} came",
            "what does the last line of your function return?",
        )
    plain(got)
    have = _wide(got)
    if isinstance(got, Tensor) and got.is_floating_point():
        rtol = max(rtol, 4 * torch.finfo(got.dtype).eps)
    if have.shape != want.shape:
        raise Refused(
            f"a result of shape {tuple(want.shape)} was expected, and {tuple(have.shape)} came",
            "follow the axes through your function, one line at a time.",
        )
    size = want.abs().max().item() if want.numel() else 0.0
    assert size > 1e-6, f"the checker compares with {size}, which is too near zero to tell anything"
    error = (have - want).abs().max().item()
    return math.isfinite(error) and error <= rtol * size


def _wide(value: Any) -> Tensor:
    """The value in fp64, without a detour by fp32, where a Python number would lose digits."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64)
    plain = float(value) if isinstance(value, numbers.Real) else value
    return torch.as_tensor(plain, dtype=torch.float64)


def shaped(
    got: Any, shape: tuple[int, ...], *, like: Tensor | None = None, what: str = "the result"
) -> Claim:
    """The claim that `got` is a tensor of `shape`, of the dtype and on the device of `like`."""
    says = f"{what} has the right shape" + (", dtype and device" if like is not None else "")
    plain(got)
    if not isinstance(got, Tensor):
        return Claim(says, False, f"{what} should be a tensor; it is a {type(got).__name__}.")
    if tuple(got.shape) != tuple(shape):
        return Claim(says, False, f"expected shape {tuple(shape)}, got {tuple(got.shape)}.")
    if like is not None and got.dtype != like.dtype:
        return Claim(says, False, f"expected {like.dtype} like the input, got {got.dtype}.")
    if like is not None and got.device != like.device:
        return Claim(says, False, f"the input lies on {like.device}, {what} on {got.device}.")
    return Claim(says, True, "")
