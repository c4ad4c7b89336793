"""Files of every known layout, changed in one place: the right scan, or one clear line."""

import collections
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from layout_judge import LESS, REFUSED, RIGHT, WRONG, judge


@pytest.mark.parametrize(
    "seeds", [range(120), pytest.param(range(120, 5000), marks=pytest.mark.slow)], ids=len
)
def test_every_mutant_is_read_right_or_refused(seeds, tmp_path):
    verdicts = [judge(seed, tmp_path / "mutant") for seed in seeds]
    wrong = [f"{one.label}: {one.detail}" for one in verdicts if one.kind == WRONG]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:20])
    kinds = collections.Counter(one.kind for one in verdicts)
    assert min(kinds[kind] for kind in (RIGHT, LESS, REFUSED)) > len(seeds) / 10
