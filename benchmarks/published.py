"""The published study of line patterns, with our networks.

    python benchmarks/published.py DATA_FOLDER -o OUT [--only ideal-g1] [--threads 1]

About 1000 patterns of 64 x 64 pixels of random lines, with an idealised probe (a disk) and with a
measured one (that of run1084, see `real_data.py`), one pattern and groups of four: the published
structural similarities of the amplitude are .620 and .904 for one pattern, and .952 and .968 for
groups, with the idealised and the measured probe. Here they are those of `ptycho evaluate`: of the
universal network, which was trained on neither, and of a network that was trained on the scan,
without labels. BENCH_MODEL names another model than `universal`.

OUT keeps all results, `published.md` and `published.json`.
"""

from __future__ import annotations

import sys
from functools import partial

from _cases import Bound, Case, Cases, Runner, of_each, row, run_all
from universal import MODEL

SCENE = "--object lines --size 224 --scan random --n-patterns 1000 --photons 1e6 --N 64 --seed 5"
TRAINING = "--n-groups 512 --nepochs 20"
PUBLISHED = {"ideal-g1": 0.620, "measured-g1": 0.904, "ideal-g2": 0.952, "measured-g2": 0.968}


def lines(run: Runner, probe: tuple[str, ...], gridsize: int) -> None:
    """Simulate, reconstruct without training, train and reconstruct."""
    beam = [str(run.data / part) if part.endswith(".npz") else part for part in probe]
    run("simulate", "simulate", "-o", "scan.npz", *SCENE.split(), *beam)
    options = (*TRAINING.split(), "--gridsize", str(gridsize))
    run("infer universal", "infer", MODEL, "scan.npz", "-o", "plain")  # else it hides the model
    run("train", "train", "scan.npz", "-o", "model", *options)
    run("infer trained", "infer", "model", "scan.npz", "-o", "trained")
    for way, folder in (("universal", "plain"), ("trained", "trained")):
        run(f"evaluate {way}", "evaluate", folder, "scan.npz", "-o", f"score_{way}")
        run.case.figures[way] = run.read(f"score_{way}/evaluation.json")["amplitude_ssim"]


PROBES = {"ideal": ("--probe", "disk"), "measured": ("--probe", "run1084.npz")}
CASES: Cases = {
    name: (
        partial(lines, probe=PROBES[name.split("-")[0]], gridsize=int(name[-1])),
        [Bound("universal", least=least), Bound("trained", least=least)],
    )
    for name, least in PUBLISHED.items()
}


def table(case: Case) -> str:
    """Lay the structural similarities of a case out."""
    figures = [f"{case.figures[way]:.3f}" for way in ("universal", "trained")]
    head = row("case", "published", "universal", "trained on the scan")
    lines = [head, row(*4 * ["---"]), row(case.name, f"{PUBLISHED[case.name]:.3f}", *figures)]
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if one of them missed a bound."""
    return run_all("published", __doc__, CASES, of_each(table), arguments)


if __name__ == "__main__":
    sys.exit(main())
