"""Mutants of the files of every known layout: seeded, counted, and judged.

    python tests/layouts/campaign.py --count 5000

Prints a table of verdicts and every fault; the exit code is 1 if there are any.
"""

import argparse
import collections
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from layout_judge import LESS, REFUSED, RIGHT, WRONG, files, judge


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", help="these alone, again")
    parser.add_argument("--show", action="store_true", help="print every verdict")
    given = parser.parse_args()
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory(prefix="layouts-") as folder:
        for seed in given.seeds or range(given.seed, given.seed + given.count):
            verdict = judge(seed, Path(folder) / "mutant")
            table[files.WRITERS[seed % len(files.WRITERS)].__name__][verdict.kind] += 1
            if given.show or verdict.kind == WRONG:
                print(
                    f"{verdict.kind}: {verdict.label}\n    {ascii(verdict.detail)[:400]}",
                    flush=True,
                )
    kinds = (RIGHT, LESS, REFUSED, WRONG)
    print(f"| layout | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for name, counts in sorted(table.items()):
        print(f"| {name} | {' | '.join(str(counts[kind]) for kind in kinds)} |")
    total = sum(table.values(), collections.Counter())
    print(f"| all {total.total()} | {' | '.join(str(total[kind]) for kind in kinds)} |")
    return 1 if total[WRONG] else 0


if __name__ == "__main__":
    sys.exit(main())
