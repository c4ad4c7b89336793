"""Where the middle of an array lies: for even sizes half a pixel from where others see it.

A position of this package is the object pixel under patch pixel ``[N//2, N//2]``. ptychodus puts a
position at the geometric centre of its patch, index ``(N - 1) / 2``, and the stated centre of an
object at index ``(W - 1) / 2`` of its array (``ProbeGeometry.resolve_patch_bounds`` and
``ObjectGeometry.map_coordinates_probe_to_object``, ptychodus 1.7). So

    x = (x_m - center_m) / pixel + (W - 1) / 2 + (N//2 - (N - 1) / 2)

where the last term is half a pixel for even N, none for odd N; larger x are further right, larger
y further down. Positions in metres are plain multiples of the pixel size, ``x_m = x * pixel``, zero
at object-grid pixel 0, as a scan reader would have given them: the half pixel goes into the centre
of the object.
"""

__all__ = ["center_m", "half_pixel", "middle"]


def half_pixel(N: int) -> float:
    """From the middle of a patch, index ``(N - 1) / 2``, to its pixel ``N//2``.

    Half a pixel for even N, nothing for odd N.
    """
    return N // 2 - (N - 1) / 2


def middle(size: int, N: int) -> float:
    """Return the position that others put in the middle of an object, along one axis.

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
    shape: tuple[int, ...], origin: tuple[float, float], N: int, pixel_m: float
) -> tuple[float, float]:
    """Return the centre that others are told for an object on the grid of its positions.

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

    Returns
    -------
    tuple of float
        (x, y) in metres.
    """
    height, width = shape
    x, y = origin
    return (x + middle(width, N)) * pixel_m, (y + middle(height, N)) * pixel_m
