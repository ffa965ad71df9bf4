"""Who has solved what: one learner's exercises, or the room, from the files that checks write."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from minids.check import progress

Results = dict[str, dict[str, Any]]
MARKS = {"solved": "#", "shown": "o", "tried": "x", "open": "."}
LEGEND = "# solved   o answer shown   x tried   . open"


class Learner(NamedTuple):
    """One row of the board."""

    name: str
    results: Results


def own(folder: Path) -> Results:
    """What was checked in `folder` and in its folder `exercises`."""
    return _merged([progress.read(place) for place in (folder, folder / "exercises")])


def room(folder: Path) -> list[Learner]:
    """Everybody whose results lie in `folder`: one folder each, or one file NAME.json each.

    A learner's folder may hold several places where checks ran; they count as one.
    """
    found: dict[str, list[Results]] = {}
    for path in sorted(folder.glob(f"**/{progress.FILE.as_posix()}")):
        inside = path.relative_to(folder).parts[: -len(progress.FILE.parts)]
        found.setdefault(inside[0] if inside else "(here)", []).append(progress.load(path))
    for path in sorted(folder.glob("*.json")):
        results = progress.load(path)
        if any("solved" in entry for entry in results.values()):
            found.setdefault(path.stem, []).append(results)
    return [Learner(name, _merged(results)) for name, results in sorted(found.items())]


def bar(names: Sequence[str], results: Mapping[str, Any]) -> str:
    """One letter an exercise, in their order."""
    return "".join(MARKS[progress.standing(results.get(name, {}))] for name in names)


def page(results: Results, roll: Mapping[str, Sequence[str]]) -> str:
    """One learner's exercises: a bar a chapter, and a line for each exercise that was touched."""
    lines = [LEGEND, ""]
    wide = max((len(stem) for stem in roll), default=0)
    longest = max((len(names) for names in roll.values()), default=0)
    for stem, names in roll.items():
        solved = sum(progress.standing(results.get(name, {})) == "solved" for name in names)
        drawn = f"[{bar(names, results)}]".ljust(longest + 2)
        lines.append(f"{stem.ljust(wide)}  {drawn}  {solved} of {len(names)}")
        for name in names:
            entry = results.get(name, {})
            word = progress.standing(entry)
            if word in ("tried", "shown"):
                lines.append(f"    {name}: {_story(word, entry)}")
    return "\n".join(lines) + "\n"


def board(learners: Sequence[Learner], roll: Mapping[str, Sequence[str]], *, now: datetime) -> str:
    """The room at a glance: a learner a row, a column a chapter that anybody has begun.

    Below it: the claims at which people are stuck now, the most frequent first.
    """
    begun = [s for s, names in roll.items() if any(n in p.results for p in learners for n in names)]
    heads = ["learner", *begun, "solved", "last check", "stuck on"]
    rows, stuck = [], Counter[str]()
    for person in learners:
        tried = {n: e for n, e in person.results.items() if progress.standing(e) == "tried"}
        stuck.update(f"{name}: {_claim(entry)}" for name, entry in tried.items())
        last = max(tried.items(), key=lambda pair: str(pair[1].get("when", "")), default=None)
        solved = sum(progress.standing(e) == "solved" for e in person.results.values())
        row = [person.name, *(bar(roll[stem], person.results) for stem in begun), str(solved)]
        rows.append([*row, _ago(person.results, now), _short(*last) if last else ""])
    lines = [
        f"{now:%H:%M}   {_counted(len(learners), 'learner', 'learners')}   {LEGEND}",
        "",
        *_aligned([heads, *rows]),
    ]
    if stuck:
        lines += ["", "stuck now:"]
        lines += [f"  {count} x {what}" for what, count in stuck.most_common(8)]
    return "\n".join(lines) + "\n"


def _merged(several: Sequence[Results]) -> Results:
    """One result an exercise: solved wins, else the later."""
    best: Results = {}
    for results in several:
        for name, entry in results.items():
            old = best.get(name)
            if old is None or _rank(entry) > _rank(old):
                best[name] = entry
    return best


def _rank(entry: dict[str, Any]) -> tuple[bool, str]:
    return bool(entry.get("solved")), str(entry.get("when", ""))


def _claim(entry: dict[str, Any]) -> str:
    return str(entry.get("failed") or "nothing here yet")


def _short(name: str, entry: dict[str, Any]) -> str:
    return f"{name}: {_claim(entry)[:48]} ({_counted(entry.get('tries', 0), 'try', 'tries')})"


def _story(word: str, entry: dict[str, Any]) -> str:
    if word == "shown":
        return "its answer was shown; `minids reset` gives the blank back"
    return f"{_claim(entry)} ({_counted(entry.get('tries', 0), 'try', 'tries')})"


def _ago(results: Results, now: datetime) -> str:
    times = []
    for entry in results.values():
        try:
            times.append(datetime.strptime(str(entry.get("when")), "%Y-%m-%d %H:%M"))
        except ValueError:
            continue
    if not times:
        return "never"
    minutes = max(0, int((now - max(times)).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(word.ljust(wide) for word, wide in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
