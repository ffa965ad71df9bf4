"""Several versions of a thing, each with the same seeds, and how much of the difference is noise.

    def run(seed, n_kv_heads):
        ...
        return evaluate(model, held_out)

    results = compare(run, {"MHA": {"n_kv_heads": 8}, "MQA": {"n_kv_heads": 1}}, seeds=range(3))
    print(results.table())

Two runs of the same version differ by their seed alone. The first arm is the baseline. Around its
mean lies the noise band: where the mean of an arm that differs by nothing falls, 95 times in 100.
Its width comes from the runs of all arms (see noise.py).

Left out: a correction for many arms. Of twenty arms that differ by nothing one lies outside.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from tqdm.auto import tqdm

from minids.study.results import Results, machine
from minids.study.workers import WorkerError, run_tasks


def compare(
    run: Callable[..., float | Mapping[str, float]],
    arms: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    *,
    workers: int | None = None,
    progress: bool = True,
) -> Results:
    """Return the results of `run(seed=seed, **arm)` for every arm and seed; the first is baseline.

    `run` returns a number, or numbers by name. Runs are spread over `workers` processes with one
    thread each, one for every core if None; 0 takes one run after another in this process, as on
    a GPU. `run` may be written in a notebook; what it uses has to be made inside it, imported, or
    able to be pickled, and what it prints is not shown. Numbers do not depend on the number of
    processes. An interrupt ends them. RuntimeError, with arm and seed, if a run fails.
    """
    if not arms or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"give at least one arm and seeds that differ; got {[*arms]}, {[*seeds]}")
    names = [(arm, seed) for arm in arms for seed in seeds]
    tasks = [{"seed": seed, **arms[arm]} for arm, seed in names]
    finished = run_tasks(run, tasks, workers)
    found: dict[tuple[str, int], dict[str, float]] = {}
    bar = tqdm(total=len(tasks), disable=not progress, leave=False)
    with bar, closing(finished):
        try:
            for number, result in finished:
                found[names[number]] = _by_name(result)
                bar.update()
        except WorkerError as error:
            arm, seed = names[max(0, error.task)]
            raise RuntimeError(
                f"the run of arm {arm!r} with seed {seed} failed:\n{error}"
            ) from error
    return Results(
        seeds=tuple(seeds), values=_sorted(found, list(arms), list(seeds)), machine=machine()
    )


def _by_name(result: Any) -> dict[str, float]:
    if isinstance(result, Mapping):
        return {str(name): float(value) for name, value in result.items()}
    return {"value": float(result)}


def _sorted(
    found: dict[tuple[str, int], dict[str, float]], arms: list[str], seeds: list[int]
) -> dict[str, dict[str, tuple[float, ...]]]:
    """Arm -> metric -> value by seed, in the order that was asked for."""
    metrics = list(found[arms[0], seeds[0]])
    for (arm, seed), values in found.items():
        if list(values) != metrics:
            raise ValueError(
                f"all runs must return the same numbers: {arm!r} with seed {seed} gave "
                f"{list(values)}, not {metrics}"
            )
    return {
        arm: {metric: tuple(found[arm, seed][metric] for seed in seeds) for metric in metrics}
        for arm in arms
    }
