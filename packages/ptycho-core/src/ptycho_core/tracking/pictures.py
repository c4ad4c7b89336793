"""Pictures of a trained network for a tracker: its object of a scan, and its probe."""

import io

from ptycho_config import InferenceConfig, PyTorchExecutionConfig
from ptycho_data import Bundle, Scan
from ptycho_data.figures import draw, new_figure
from ptycho_data.views import View, object_views

from ptycho_core.backends import require

__all__ = ["training_pictures"]


def training_pictures(
    bundle: Bundle, scan: Scan, execution: PyTorchExecutionConfig
) -> dict[str, bytes]:
    """Reconstruct a scan with a network and draw the result.

    Parameters
    ----------
    bundle
        The trained network.
    scan
        A scan that it was trained on.
    execution
        Settings of the training.

    Returns
    -------
    dict of str to bytes
        ``object`` and ``probe``, each amplitude and phase, in PNG format.
    """
    backend = require(bundle.backend)
    config = InferenceConfig(backend=bundle.backend)
    found = backend.reconstruct(bundle, scan, config, execution, progress=None).reconstruction
    left, top = found.origin.tolist()
    views = {
        "object": object_views(found.object, found.coverage, origin=(left, top)),
        "probe": object_views(found.probe[0], suffix=" of the probe"),
    }
    return {name: _png(pair) for name, pair in views.items()}


def _png(views: tuple[View, View]) -> bytes:
    figure = new_figure(10, 4.5)
    for axes, view in zip(figure.subplots(1, 2), views, strict=True):
        draw(axes, view)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()
