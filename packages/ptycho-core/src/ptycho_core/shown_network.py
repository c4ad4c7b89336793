"""What the network of a training makes of a scan, for the live page."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import define
from ptycho_config import InferenceConfig, PyTorchExecutionConfig
from ptycho_data import Bundle, Scan

from ptycho_core.analysis.verdict import judge
from ptycho_core.backends import require
from ptycho_core.live_page import Publisher, Snapshot

__all__ = ["ShownNetwork"]

#: Patterns that the network is tried on, next to each other in the middle of the scan.
TRIED_PATTERNS = 1024


@define(kw_only=True, eq=False)
class ShownNetwork:
    """Tries the network while it is trained. The training computes the same as without.

    Attributes
    ----------
    page : Publisher
    bundle_of
        Makes a bundle of the model.
    scan : Scan
        The first scan of the training.
    execution : PyTorchExecutionConfig
        That of the training.
    """

    page: Publisher
    bundle_of: Callable[[Any], Bundle]
    scan: Scan
    execution: PyTorchExecutionConfig
    _shown: int = 0

    def look(self, model: Any, epoch: int) -> None:
        """Show what the model makes of the scan after an epoch, counted from one, if it is time."""
        self.page.offer(lambda: self._snapshot(model, epoch))

    def _snapshot(self, model: Any, epoch: int) -> Snapshot:
        with _unchanged_random_numbers():
            bundle = self.bundle_of(model)
            backend = require(bundle.backend)
            config = InferenceConfig(backend=bundle.backend)
            part = _middle(self.scan)
            rec = backend.reconstruct(bundle, part, config, self.execution).reconstruction
        ratio = judge(rec, part).ratio
        if ratio is not None:
            self.page.point("epoch", epoch, r_over_noise=ratio)
        row = self._shown % len(rec.indices)
        self._shown += 1
        counts = part.counts(rec.indices[row : row + 1], 1.0)[0]
        return Snapshot.of(rec, row, counts, part.bad_pixels)


def _middle(scan: Scan) -> Scan:
    """Return the patterns nearest to the middle of a scan."""
    if scan.n <= TRIED_PATTERNS:
        return scan
    distance = np.linalg.norm(scan.positions - np.median(scan.positions, axis=0), axis=1)
    return scan.select(np.sort(np.argpartition(distance, TRIED_PATTERNS)[:TRIED_PATTERNS]))


@contextmanager
def _unchanged_random_numbers() -> Iterator[None]:
    """Leave the generators of Python and NumPy as they were; backends see to their own."""
    before, before_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)  # noqa: NPY002
