"""The default plot of an HDF5 file, as NeXus names it: what silx and others show first."""

from typing import Any

import h5py
import numpy as np

from ptycho_data._protected import put, put_group, put_text
from ptycho_data.rulers import Ruler

__all__ = ["put_default_plot"]


def put_default_plot(
    file: h5py.File,
    dataset: h5py.Dataset,
    *,
    origin: tuple[float, float],
    pixel_size_m: float | None,
    origin_m: tuple[float, float] | None,
) -> None:
    """Make an object the default plot of its file, by a link and axes in ``/entry/object_view``.

    Parameters
    ----------
    file
        Open for writing.
    dataset : (layers, H, W)
        The object, in this file.
    origin
        Object-grid pixel ``(x, y)`` of its first pixel.
    pixel_size_m, origin_m
        As of a `Reconstruction`; without a size the axes are in pixels.
    """
    height, width = dataset.shape[-2:]
    ruler = Ruler.of((width, height), pixel_size_m, origin_m)
    view = put_group(file, "entry/object_view")
    view["object"] = dataset  # one array with two names
    columns, rows = np.arange(width) + origin[0], np.arange(height) + origin[1]
    for name, values in (("x", ruler.x(columns)), ("y", ruler.y(rows))):
        put_text(put(view, name, values), "units", ruler.unit)
    for item, texts in (
        (file, {"NX_class": "NXroot", "default": "entry"}),
        (file["entry"], {"NX_class": "NXentry", "default": "object_view"}),
        (view, {"NX_class": "NXdata", "signal": "object", "interpretation": "image"}),
    ):
        for name, text in texts.items():
            put_text(item, name, text)
    axes: Any = np.array([b".", b"y", b"x"], "S1")
    view.attrs.create("axes", axes)
