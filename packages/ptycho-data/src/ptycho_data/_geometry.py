"""Where an object lies in metres, and the half pixel between conventions of the centre.

A position of this package is the object pixel under patch pixel ``[N//2, N//2]``. ptychodus puts a
position at the geometric centre of its patch, index ``(N - 1) / 2``, and the stated centre of an
object at index ``(W - 1) / 2`` of its array (``ProbeGeometry.resolve_patch_bounds`` and
``ObjectGeometry.map_coordinates_probe_to_object``, ptychodus 1.7). So

    x = (x_m - center_m) / pixel + (W - 1) / 2 + (N//2 - (N - 1) / 2)

where the last term is half a pixel for even N and zero for odd N; larger x are further right,
larger y further down. Positions in metres are multiples of the pixel size, counted from where pixel
(0, 0) of the object grid lies, ``x_m = origin_m + x * pixel``; the half pixel goes into the centre
of the object, which is at ``origin_m + centre_position(W, N) * pixel``.
"""

__all__ = ["center_m", "centre_position", "half_pixel"]


def half_pixel(N: int) -> float:
    """Return the distance from the centre of a patch, index ``(N - 1) / 2``, to pixel ``N//2``.

    Half a pixel for even N, nothing for odd N.

    Examples
    --------
    >>> half_pixel(64), half_pixel(65)
    (0.5, 0.0)
    """
    return N // 2 - (N - 1) / 2


def centre_position(size: int, N: int) -> float:
    """Return the position at the geometric centre of an object, along one axis.

    Parameters
    ----------
    size
        Pixels of the object along this axis.
    N
        Pixels along a side of a patch.

    Returns
    -------
    float
        A position of this package, in pixels from the object's first.
    """
    return (size - 1) / 2 + half_pixel(N)


def center_m(
    shape: tuple[int, ...],
    origin: tuple[float, float],
    N: int,
    pixel_m: float,
    origin_m: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float]:
    """Return the centre, in metres, of an object on the grid of the positions.

    Parameters
    ----------
    shape
        (H, W) of the object.
    origin
        (x, y) of its first pixel, in pixels of the grid of the positions.
    N
        Pixels along a side of a patch.
    pixel_m
        Object pixel in metres.
    origin_m
        (x, y) in metres of pixel (0, 0) of the grid of the positions.

    Returns
    -------
    tuple of float
        (x, y) in metres.
    """
    height, width = shape
    x, y = (
        start + (first + centre_position(size, N)) * pixel_m
        for start, first, size in zip(origin_m, origin, (width, height), strict=True)
    )
    return x, y
