"""python -m minids.course build [names …] | cut | drift | grade folder"""

import sys
from pathlib import Path

from minids.course import build, cut, drift, grade, report


def main(words: list[str]) -> int:
    """Run one of the four commands; 1 when something has drifted."""
    verb, names = (words[0], words[1:]) if words else ("", [])
    if verb == "build":
        for done in build(names or None):
            print(f"{done.name}: {done.seconds:.0f} s, {done.peak_mb} MB")
            for line in done.claims_broken + done.grew:
                print(f"  {line}")
    elif verb == "cut":
        print(*cut(names or None), sep="\n")
    elif verb == "drift":
        found = drift()
        print(*found or ["no drift"], sep="\n")
        return 1 if found else 0
    elif verb == "grade" and names:
        print(report(grade(Path(names[0]))).markdown)
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
