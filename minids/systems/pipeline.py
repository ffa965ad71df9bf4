"""When each chunk of a pipeline runs, how long devices stand idle, and what they hold meanwhile.

An event simulator. It knows an order for each device (schedules.py), how long each kind of chunk
takes, and what a chunk waits for. Nothing else: the formulas of DeepSeek-V3's Table 2
(arXiv 2412.19437, 3.2.1) stand below it and are never used by it.

Left out: the time to send between stages, stages of unequal length, the optimizer's step, and
whatever makes two runs of the same chunk differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from minids.systems.schedules import Chunk, Order, Slot, stage_of

Time = int | float | Fraction  # whole numbers and fractions stay exact


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long one chunk takes. Any unit; the report's letters are F, B, W and F&B.

    here         paper
    forward      F
    backward     B      gradients of inputs and of weights
    weights      W      the part of B that is for weights
    overlapped   F&B    one forward and one backward chunk together; None: F + B, no gain
    """

    forward: Time
    backward: Time
    weights: Time
    overlapped: Time | None = None

    def __post_init__(self) -> None:
        if not (self.forward > 0 and 0 < self.weights < self.backward):
            raise ValueError(
                f"chunks take time, and the weights' part is less than the whole backward chunk: "
                f"got forward={self.forward}, backward={self.backward}, weights={self.weights}"
            )
        if self.pair < max(self.forward, self.backward):
            raise ValueError(
                f"two chunks together take as long as the longer one, at least "
                f"{max(self.forward, self.backward)}: got overlapped={self.overlapped}"
            )

    @property
    def inputs(self) -> Time:
        """The part of a backward chunk for which the stage before waits: B - W."""
        return self.backward - self.weights

    @property
    def pair(self) -> Time:
        """A forward and a backward chunk together."""
        return self.forward + self.backward if self.overlapped is None else self.overlapped

    def of(self, slot: Slot) -> Time:
        """Return how long a slot takes: a chunk alone, or a pair."""
        if len(slot) == 2:
            return self.pair
        alone = {"F": self.forward, "B": self.backward, "I": self.inputs, "W": self.weights}
        return alone[slot[0].work]


class Ran(NamedTuple):
    """A slot that a device ran from `start` to `end`."""

    device: int
    start: Time
    end: Time
    slot: Slot


class Timeline(NamedTuple):
    """What every device did, and when. Time starts at 0."""

    ran: tuple[Ran, ...]
    n_devices: int

    @property
    def end(self) -> Time:
        """When the last device is done."""
        return max(run.end for run in self.ran)

    @property
    def busy(self) -> list[Time]:
        """How long each device works."""
        return [sum(r.end - r.start for r in self.of(d)) for d in range(self.n_devices)]

    @property
    def idle(self) -> list[Time]:
        """How long each device stands still between the first chunk and the last of all."""
        return [self.end - busy for busy in self.busy]

    @property
    def bubble(self) -> Time:
        """The idle time of the device that stands still longest."""
        return max(self.idle)

    @property
    def peaks(self) -> list[int]:
        """How many micro-batches' activations each device holds at most, a stage of each.

        They are kept from the start of F to the end of B, or of W: weights need the inputs too.
        """
        return [max(held for _, held in self.held(d)) for d in range(self.n_devices)]

    def of(self, device: int) -> list[Ran]:
        """Return what one device ran, in its order."""
        return [run for run in self.ran if run.device == device]

    def held(self, device: int) -> list[tuple[Time, int]]:
        """Return (time, micro-batches held from then on); room is freed before it is taken."""
        changes = []
        for run in self.of(device):
            works = [chunk.work for chunk in run.slot]
            changes += [(run.start, 1) for work in works if work == "F"]
            changes += [(run.end, -1) for work in works if work in "BW"]
        count, steps = 0, []
        for time, change in changes:
            count += change
            steps.append((time, count))
        return steps


def waits_for(chunk: Chunk, stage: int, stages: int) -> Iterator[tuple[str, int, int, int]]:
    """Return what must be done before: (what, micro-batch, way, stage).

    What is "F" or "gradient"; both halves of a backward chunk follow from the gradient.
    """
    _, micro, way = chunk
    if chunk.work == "F":
        if stage > 0:
            yield "F", micro, way, stage - 1
    elif chunk.work == "W":
        yield "gradient", micro, way, stage
    else:
        yield "F", micro, way, stage
        if stage < stages - 1:
            yield "gradient", micro, way, stage + 1


def simulate(orders: Sequence[Order], times: Times) -> Timeline:
    """Return the timeline in which each device starts a slot as soon as it is free and may.

    ValueError if the orders wait for each other for ever, or for what nobody does.
    """
    n = len(orders)
    done: dict[tuple[str, int, int, int], Time] = {}
    free: list[Time] = [0] * n
    at, ran = [0] * n, []
    moved = True
    while moved:
        moved = False
        for device, order in enumerate(orders):
            while at[device] < len(order):
                slot = order[at[device]]
                placed = [(chunk, stage_of(device, chunk.way, n)) for chunk in slot]
                needs = [need for chunk, stage in placed for need in waits_for(chunk, stage, n)]
                if not all(need in done for need in needs):
                    break
                start = max([free[device], *(done[need] for need in needs)])
                end = free[device] = start + times.of(slot)
                for chunk, stage in placed:
                    what = "gradient" if chunk.work in "BI" else chunk.work
                    done[what, chunk.micro, chunk.way, stage] = end
                ran.append(Ran(device, start, end, slot))
                at[device], moved = at[device] + 1, True
    stuck = [device for device in range(n) if at[device] < len(orders[device])]
    if stuck:
        chunk = orders[stuck[0]][at[stuck[0]]][0]
        raise ValueError(
            f"device {stuck[0]} waits for ever: {chunk} needs what nobody has done; "
            f"check the orders of devices {stuck}"
        )
    return Timeline(tuple(ran), n)


def bubble_1f1b(stages: int, times: Times) -> Time:
    """Return Table 2's bubble of 1F1B: (PP - 1)(F + B). GPipe has the same."""
    return (stages - 1) * (times.forward + times.backward)


def bubble_zb1p(stages: int, times: Times) -> Time:
    """Return Table 2's bubble of ZB1P: (PP - 1)(F + B - 2W). It supposes W <= F, I."""
    return (stages - 1) * (times.forward + times.backward - 2 * times.weights)


def bubble_dualpipe(stages: int, times: Times) -> Time:
    """Return Table 2's bubble of DualPipe: (PP/2 - 1)(F&B + B - 3W). It supposes F, W <= I."""
    return (stages // 2 - 1) * (times.pair + times.backward - 3 * times.weights)
