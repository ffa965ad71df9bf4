"""What a comparison found: numbers by arm and seed, and what can be said about them."""

import json
import math
import platform
import statistics
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from minids.study.workers import cores


class Band(NamedTuple):
    """What the seed alone does to a number: `mean` +- 2 `sd` over the runs of one version."""

    mean: float
    sd: float  # sample standard deviation, divided by n - 1
    n: int

    @property
    def low(self) -> float:
        """The lower edge, two standard deviations below the mean."""
        return self.mean - 2 * self.sd

    @property
    def high(self) -> float:
        """The upper edge, two standard deviations above the mean."""
        return self.mean + 2 * self.sd

    def __str__(self) -> str:
        """Say what the band is made of."""
        return f"{self.low:.4g} to {self.high:.4g} (mean +- 2 sd of {self.n} seeds)"


class Difference(NamedTuple):
    """An arm minus the baseline, seed by seed. `inside`: its mean is no larger than the noise."""

    mean: float
    each: tuple[float, ...]
    inside: bool

    @property
    def verdict(self) -> str:
        """Whether the difference counts, and on how many seeds it has the sign of the mean."""
        if self.mean == 0:
            return "inside the band, equal"
        same = sum(value * self.mean > 0 for value in self.each)
        sign = "above" if self.mean > 0 else "below"
        where = "inside the band" if self.inside else "outside"
        return f"{where}, {sign} in {same} of {len(self.each)}"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Numbers of every arm and seed. A method's `metric` is the first one if it is None."""

    seeds: tuple[int, ...]
    values: dict[str, dict[str, tuple[float, ...]]]  # arm -> metric -> by seed
    machine: str

    @property
    def arms(self) -> list[str]:
        """Names of the arms; the first is the baseline."""
        return list(self.values)

    @property
    def metrics(self) -> list[str]:
        """Names of the numbers that every run returned."""
        return list(self.values[self.arms[0]])

    def of(self, arm: str, metric: str | None = None) -> tuple[float, ...]:
        """Return the numbers of an arm, seed by seed."""
        metric = self.metrics[0] if metric is None else metric
        if arm not in self.values or metric not in self.values[arm]:
            raise ValueError(
                f"there is no {metric!r} of arm {arm!r}; arms: {', '.join(self.arms)}; "
                f"metrics: {', '.join(self.metrics)}"
            )
        return self.values[arm][metric]

    def mean(self, arm: str, metric: str | None = None) -> float:
        """Return the mean over the seeds."""
        return statistics.fmean(self.of(arm, metric))

    def sd(self, arm: str, metric: str | None = None) -> float:
        """Return the sample standard deviation over the seeds; ValueError if there is one seed."""
        if len(self.seeds) < 2:
            raise ValueError("one seed has no spread: run at least two, better three")
        numbers = self.of(arm, metric)
        return statistics.stdev(numbers) if all(map(math.isfinite, numbers)) else math.nan

    def band(self, metric: str | None = None, arm: str | None = None) -> Band:
        """Return the noise band of an arm, the baseline's if None: mean +- 2 sd over its seeds.

        By chance alone, if runs are normally distributed, a single new run of the same version
        falls outside 22 times in 100 with three seeds and 14 times with five; the mean of as many
        runs with other seeds 13 and 3 times. Equal seeds make it rarer where they help equally.
        """
        arm = self.arms[0] if arm is None else arm
        return Band(self.mean(arm, metric), self.sd(arm, metric), len(self.seeds))

    def difference(
        self, arm: str, metric: str | None = None, *, band: Band | None = None
    ) -> Difference:
        """Return arm minus baseline by seed, and whether the mean is within 2 sd of the baseline.

        A `band` of more seeds, measured elsewhere, lends its sd where the baseline has few.
        """
        pairs = zip(self.of(arm, metric), self.of(self.arms[0], metric), strict=True)
        each = tuple(a - b for a, b in pairs)
        mean = statistics.fmean(each)
        return Difference(mean, each, abs(mean) <= 2 * (band or self.band(metric)).sd)

    def table(self, metric: str | None = None, digits: int = 3) -> str:
        """Return one line for each arm: the numbers by seed, mean, sd, difference and verdict."""
        titles = ["arm", *(f"seed {seed}" for seed in self.seeds), "mean", "sd", "diff", ""]
        rows = [titles, *(self._row(arm, metric, digits) for arm in self.arms)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for arm, *numbers, verdict in rows:
            cells = [arm.ljust(widths[0]), *map(str.rjust, numbers, widths[1:-1]), verdict]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def _row(self, arm: str, metric: str | None, digits: int) -> list[str]:
        mean = self.mean(arm, metric)
        numbers = [f"{number:.{digits}f}" for number in (*self.of(arm, metric), mean)]
        many = len(self.seeds) > 1
        sd = f"{self.sd(arm, metric):.{digits}f}" if many else "-"
        if arm == self.arms[0]:
            return [arm, *numbers, sd, "", "baseline" if many else "baseline, one run"]
        difference = f"{mean - self.mean(self.arms[0], metric):+.{digits}f}"
        verdict = self.difference(arm, metric).verdict if many else "one run"
        return [arm, *numbers, sd, difference, verdict]

    def save(self, path: Path | str) -> None:
        """Write everything as JSON, with a line on the machine."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path | str) -> "Results":
        """Return what `save` wrote."""
        read = json.loads(Path(path).read_text(encoding="utf-8"))
        values = {
            arm: {name: tuple(numbers) for name, numbers in metrics.items()}
            for arm, metrics in read["values"].items()
        }
        return Results(seeds=tuple(read["seeds"]), values=values, machine=read["machine"])


def machine() -> str:
    """Return a line on what ran: processor, cores, system, Python and torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    return (
        f"{processor}, {cores()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )
