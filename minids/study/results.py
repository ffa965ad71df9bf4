"""What a comparison found: numbers by arm and seed, and what can be said about them."""

import json
import math
import platform
import statistics
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from minids.study.noise import Noise, pooled
from minids.study.workers import cores


class Band(NamedTuple):
    """Where chance alone leaves the mean of `runs` runs of the same version, 95 times in 100."""

    mean: float  # of the runs that are known
    sd: float  # of one run
    df: int  # degrees of freedom of `sd`
    n: int  # runs that are known
    runs: int  # runs of the mean that is compared

    @property
    def reach(self) -> float:
        """How far from `mean` a mean of `runs` runs lies at most, 95 times in 100."""
        return Noise(self.sd, self.df).reach(self.n, self.runs)

    @property
    def low(self) -> float:
        """The lower edge."""
        return self.mean - self.reach

    @property
    def high(self) -> float:
        """The upper edge."""
        return self.mean + self.reach

    @property
    def holds(self) -> str:
        """What lies in the band by chance alone, in words."""
        return "95 % of single runs" if self.runs == 1 else f"95 % of means of {self.runs} runs"

    def __str__(self) -> str:
        """Say what falls into the band, and what its width rests on."""
        return (
            f"{self.low:.4g} to {self.high:.4g} ({self.holds}; sd of a run {self.sd:.2g}, "
            f"{self.df} degrees of freedom)"
        )


class Difference(NamedTuple):
    """An arm minus the baseline, seed by seed, and how far chance alone reaches."""

    mean: float
    each: tuple[float, ...]
    reach: float  # 95 of 100 differences that are chance alone are no larger

    @property
    def inside(self) -> bool:
        """Whether the mean is no larger than the noise."""
        return abs(self.mean) <= self.reach

    @property
    def verdict(self) -> str:
        """Whether the difference counts, and on how many seeds it has the sign of the mean."""
        if not math.isfinite(self.mean + self.reach):
            lost = sum(not math.isfinite(value) for value in self.each)
            return f"not known: {lost or 'all'} of {len(self.each)} are no numbers"
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

    def band(self, metric: str | None = None, *, runs: int | None = None) -> Band:
        """Return the noise band of the baseline: where another arm's mean falls by chance alone.

        That is, an arm with these seeds that differs from the baseline by nothing. Its mean lies
        outside 5 times in 100, if runs are normally distributed and all arms spread alike; of
        three such arms at least one does in about 12 of 100 comparisons. The noise is estimated
        from all arms, without what a seed does to all of them alike (see `noise.pooled`).

        With `runs` the band holds the mean of so many runs of the baseline, with seeds of their
        own; 1 is one more run. Then the baseline alone says how much runs differ: other arms ran
        with the same seeds and the same luck.
        """
        paired = runs is None
        arms = self.arms if paired else self.arms[:1]
        noise = pooled([self.of(arm, metric) for arm in arms], paired=paired)
        n = len(self.seeds)
        return Band(self.mean(self.arms[0], metric), *noise, n, n if runs is None else runs)

    def difference(self, arm: str, metric: str | None = None) -> Difference:
        """Return arm minus baseline by seed, and how far from 0 chance alone moves their mean.

        It is inside if the arm's mean lies inside `band`, whose docstring has the false alarms.
        With two arms this is the paired t-test.
        """
        pairs = zip(self.of(arm, metric), self.of(self.arms[0], metric), strict=True)
        each = tuple(a - b for a, b in pairs)
        return Difference(statistics.fmean(each), each, self.band(metric).reach)

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
    return (
        f"{processor()}, {cores()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )


def processor() -> str:
    """Return the name of the processor, as the system knows it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
