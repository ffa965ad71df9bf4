"""The whole of chapter 12 for several seeds, and where its numbers are stored.

`python -m minids.study.distill_lab` runs the seeds that the chapter prints, in some minutes, and
writes data/results/distill.json with a line on the machine.
"""

import argparse
from collections.abc import Sequence

from minids.presets import DATA
from minids.study.compare import compare
from minids.study.distill_arms import ARMS, cast, run, test
from minids.study.distill_plan import Plan
from minids.study.results import Results

STORED = DATA / "results" / "distill.json"
SEEDS = (0, 1, 2, 3, 4)


def everything(seed: int, plan: Plan | None = None) -> dict[str, float]:
    """Return the exam of every arm, as "arm: number", and what verification threw away.

    Products are plain: models this small gain nothing from bf16 factors, in time either.
    """
    plan = plan or Plan()
    who = cast(plan, seed=seed)
    found = {"thrown away": who.collected.thrown_away}
    for arm in ARMS:
        result = test(run(arm, plan, who, seed=seed), plan, seed=seed)
        found |= {f"{arm}: {name}": value for name, value in result.numbers().items()}
    return found


def by_arm(flat: Results) -> Results:
    """Return the results of `everything` with its arms as arms; raw is the baseline."""
    (row,) = flat.values.values()
    order = ["raw", *(arm for arm in ARMS if arm != "raw")]
    names = [key.partition(": ")[2] for key in row if key.startswith("raw: ")]
    values = {arm: {name: row[f"{arm}: {name}"] for name in names} for arm in order}
    for arm in order:
        share = row["thrown away"] if arm.startswith("verified") else (0.0,) * len(flat.seeds)
        values[arm]["thrown away"] = share
    return Results(seeds=flat.seeds, values=values, machine=flat.machine)


def stored() -> Results:
    """Return what the command wrote."""
    return Results.load(STORED)


def main(seeds: Sequence[int] = SEEDS) -> None:
    """Run all seeds, store what came out, and print the two accuracies."""
    found = by_arm(compare(everything, {"ladder": {}}, seeds=seeds))
    found.save(STORED)
    for metric in ("pass_at_1", "greedy"):
        print(f"{metric}\n{found.table(metric)}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "").parse_args()
    main()
