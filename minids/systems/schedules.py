"""In which order each device of a pipeline works: GPipe, 1F1B, ZB1P and DualPipe.

A pipeline cuts the layers of a model into stages, one after the other, and a batch into
micro-batches. A stage has to run every micro-batch forward and backward. A backward chunk (B)
can be cut in two: the gradients of its inputs (I), for which the stage before waits, and those of
its weights (W), for which nobody waits (zero bubble, arXiv 2401.10241).

DualPipe (DeepSeek-V3, arXiv 2412.19437, 3.2.1) feeds micro-batches from both ends. Device d holds
stage d of one way and stage n - 1 - d of the other, and runs a forward chunk of one way together
with a backward chunk of the other. Its order follows the eight steps of the public implementation
(deepseek-ai/DualPipe, MIT), in words of ours.

An order says nothing about time: pipeline.py finds out when each chunk can run.
"""

from collections import deque
from typing import NamedTuple


class Chunk(NamedTuple):
    """One stage's work on one micro-batch.

    work: F forward, B backward in one, I and W its halves (inputs, weights). micro: its number,
    from 0 in each way. way: 0 enters at device 0, 1 enters at the last device.
    """

    work: str
    micro: int
    way: int = 0


Slot = tuple[Chunk, ...]  # one chunk, or a forward and a backward chunk that run together
Order = list[Slot]  # what one device does, first to last


def stage_of(device: int, way: int, n_devices: int) -> int:
    """Return the stage that a device holds for micro-batches of a way."""
    return device if way == 0 else n_devices - 1 - device


def write(*steps: tuple[int, str]) -> Order:
    """Return an order from steps (how often, words): (3, "F0 B0") is three times F, B of way 0.

    "F1&B0" are two chunks together. Each word takes the next micro-batch of its kind and way; "W"
    takes the oldest I whose weights still wait.
    """
    order: Order = []
    following: dict[tuple[bool, int], int] = {}
    waiting: deque[tuple[int, int]] = deque()

    def chunk(word: str) -> Chunk:
        if word == "W":
            micro, way = waiting.popleft()
            return Chunk("W", micro, way)
        work, way = word[0], int(word[1])
        micro = following.get((work == "F", way), 0)
        following[work == "F", way] = micro + 1
        if work == "I":
            waiting.append((micro, way))
        return Chunk(work, micro, way)

    for times, words in steps:
        for _ in range(times):
            order += [tuple(chunk(word) for word in slot.split("&")) for slot in words.split()]
    return order


def _refuse(stages: int, micros: int) -> None:
    if stages < 1 or micros < 1:
        raise ValueError(f"stages={stages}, micros={micros}: give 1 or more of both")


def gpipe(stages: int, micros: int) -> list[Order]:
    """Return the plainest order: all forward, then all backward (arXiv 1811.06965)."""
    _refuse(stages, micros)
    return [write((micros, "F0"), (micros, "B0")) for _ in range(stages)]


def one_f_one_b(stages: int, micros: int) -> list[Order]:
    """Return 1F1B: as soon as one backward chunk can run, one forward and one in turn.

    A stage starts with one forward chunk for each stage behind it, so that it never holds more
    than `stages` micro-batches (PipeDream, arXiv 1806.03377).
    """
    _refuse(stages, micros)
    orders = []
    for device in range(stages):
        first = min(stages - 1 - device, micros)
        orders.append(write((first, "F0"), (micros - first, "F0 B0"), (first, "B0")))
    return orders


def zb1p(stages: int, micros: int) -> list[Order]:
    """Return ZB1P, the zero-bubble order that needs no more memory than 1F1B (ZB-H1 there).

    Device d keeps the weight halves of d micro-batches back, and fills the end with them.
    """
    _refuse(stages, micros)
    if micros < stages:
        raise ValueError(
            f"ZB1P keeps back the weights of up to stages - 1 micro-batches: it needs at least "
            f"as many micro-batches as stages, got micros={micros}, stages={stages}"
        )
    orders = []
    for device in range(stages):
        first = stages - 1 - device
        orders.append(
            write(
                (first, "F0"),
                (device, "F0 I0"),
                (micros - first - device, "F0 I0 W"),
                (first, "I0 W"),
                (device, "W"),
            )
        )
    return orders


def dualpipe(stages: int, micros: int, *, overlap_first: bool = False) -> list[Order]:
    """Return DualPipe for an even number of stages; half of the `micros` enter at each end.

    overlap_first: whether the two middle devices run their very first pair together. The public
    implementation does not, "to further reduce bubble size": the F of the pair need not wait.
    """
    _refuse(stages, micros)
    if stages % 2 or micros % 2 or micros < 2 * stages:
        raise ValueError(
            f"DualPipe needs an even number of stages and an even number of micro-batches, two "
            f"for each stage or more: got stages={stages}, micros={micros}"
        )
    orders = []
    for device in range(stages):
        outside = min(device, stages - 1 - device)  # devices between this one and the nearer end
        inside = stages // 2 - 1 - outside  # and between it and the middle
        last = outside + 1
        pairs = micros // 2 - stages + last
        first = "F0&B1 F1&B0" if inside or overlap_first else "F0 B1 F1&B0"
        ending = [f"{'B' if i < last else 'I'}{1 - i % 2}" for i in range(2 * last)]
        steps = (
            (2 * inside, "F0"),
            (last, "F0 F1"),
            (inside, "I1 W F1"),
            (1, first),
            (pairs - 1, "F0&B1 F1&B0"),
            (inside, "B1 F1&B0"),
            (1, " ".join(ending)),
            (inside, "W I0"),
            (last, "W"),
        )
        near = device < stages // 2  # way 0 enters at this half; for the other half, way 1 does
        orders.append(write(*(steps if near else [(n, _mirrored(words)) for n, words in steps])))
    return orders


def _mirrored(words: str) -> str:
    return words.translate(str.maketrans("01", "10"))
