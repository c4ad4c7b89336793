"""Damaged and hostile inputs, kills and full disks: seeded, counted, and judged.

    python tests/faults/campaign.py --mutations 10000 --kills 200 --disks 30 --output table.json

Prints a table of verdicts and every fault; the exit code is 1 if there are any.
"""

import argparse
import collections
import importlib.util
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import batches
import disks
import kills
import mutations
import watches
from judge import REFUSED, RIGHT
from samples import Samples


def installed() -> tuple[str, ...]:
    """Backends of this environment."""
    named = {"pytorch": "torch", "tensorflow": "tensorflow"}
    return tuple(name for name, module in named.items() if importlib.util.find_spec(module))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--watches", type=int, default=0, help="watches that are killed")
    parser.add_argument("--batches", type=int, default=0, help="batches that are killed")
    parser.add_argument("--disks", type=int, default=0)
    parser.add_argument("--only", default="", help="families whose name begins so")
    parser.add_argument("--scenes", default="", help="kills and disks of this command alone")
    parser.add_argument("--backends", nargs="+", default=installed())
    parser.add_argument("--work", type=Path, help="folder to work in, kept; best in memory")
    parser.add_argument("--output", type=Path, help="table as JSON")
    parser.add_argument("--seeds", type=int, nargs="+", help="these mutations alone, again")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop mutating after so many")
    return parser.parse_args()


class Table:
    """Verdicts by family."""

    def __init__(self) -> None:
        self.counts: dict[str, collections.Counter[str]] = {}
        self.faults: list[dict[str, str]] = []

    def add(self, family: str, label: str, verdict: tuple[str, str]) -> None:
        """Count a verdict; print it if it is a fault."""
        self.counts.setdefault(family, collections.Counter())[verdict[0]] += 1
        if verdict[0] not in (RIGHT, REFUSED):
            self.faults.append({"label": label, "verdict": verdict[0], "detail": verdict[1]})
            print(f"{verdict[0]}: {label}\n    {ascii(verdict[1])[:600]}", flush=True)

    def show(self) -> str:
        """Return the table as Markdown."""
        kinds = sorted({k for c in self.counts.values() for k in c} - {RIGHT, REFUSED})
        head = ["", "calls", RIGHT, REFUSED, *kinds]
        rows = [head, ["---"] * len(head)]
        total: collections.Counter[str] = collections.Counter()
        for family, counts in sorted(self.counts.items()):
            total += counts
            rows.append([family, *_row(counts, kinds)])
        rows.append(["all", *_row(total, kinds)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(counts: collections.Counter[str], kinds: list[str]) -> list[str]:
    return [str(counts.total()), *(str(counts[k]) for k in (RIGHT, REFUSED, *kinds))]


def main() -> int:
    """Run the campaign."""
    given = arguments()
    work = given.work or Path(tempfile.mkdtemp(prefix="faults-", dir=_in_memory()))
    work.mkdir(parents=True, exist_ok=True)
    samples, table, start = Samples(folder=work / "samples"), Table(), time.monotonic()
    samples.folder.mkdir(exist_ok=True)
    backends = tuple(given.backends)
    round_ = mutations.deal(backends)
    every = (
        seed
        for seed in given.seeds or itertools.count(given.seed)
        if round_[seed % len(round_)][0].startswith(given.only)
    )
    done = 0
    for seed in itertools.islice(every, given.mutations):
        if time.monotonic() - start > 60 * given.minutes:
            break
        label, verdict = mutations.run(samples, seed, work, backends)
        table.add(round_[seed % len(round_)][0], label, verdict)
        done += 1
        if done % 500 == 0:
            print(f"... {done}, {time.monotonic() - start:.0f} s", flush=True)
    for name, number, run in (
        ("kill", given.kills, kills.run),
        ("kill", given.watches, watches.run),
        ("kill", given.batches, batches.run),
        ("disk", given.disks, disks.run),
    ):
        if name == "disk" and number and not disks.mountable():
            print("no disk can be mounted here")
            continue
        for count in range(given.seed, given.seed + number):
            label, verdict = run(samples, count, work, backends, given.scenes)
            table.add(f"{name}, {label.split(' | ')[1].split(',')[0]}", label, verdict)
    samples.close()
    print(table.show(), flush=True)
    print(f"{done} mutations, {time.monotonic() - start:.0f} s")
    if given.output:
        given.output.write_text(
            json.dumps({"counts": table.counts, "faults": table.faults}, indent=1), "utf-8"
        )
    return 1 if table.faults else 0


def _in_memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own


if __name__ == "__main__":
    sys.exit(main())
