"""The detector of a CXI file: its axes, its mask, its dark frames.

=====================  ========================================================================
``basis_vectors``      (2, 3): the steps in metres from pixel to pixel along a column and along a
                       row, (0, -p, 0) and (-p, 0, 0) where there are none (CXI 1.6): x of CXI is to
                       the left as seen from the source, y up, z along the beam
``x_pixel_size``,      metres; one of them alone is that of a square pixel
``y_pixel_size``
``corner_position``    of the first pixel, in metres from the sample: gives what is missing of
                       distance and pixel
``mask``               any bit but "has signal" is a bad pixel
``detector_mask``      COSMIC (ALS): of either polarity; most pixels are good
``data_dark``          frames without beam: their mean and their noise are taken away
``near_field``         COSMIC (ALS): 1 for patterns that the far-field model does not describe
=====================  ========================================================================
"""

from functools import partial
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._changes import changed
from ptycho_data._contract import describe_array
from ptycho_data._hdf5 import H5File
from ptycho_data._stack import chunk_rows, read_patterns
from ptycho_data._violations import ScanFormatError
from ptycho_data.formats._base import Opened, first_of
from ptycho_data.formats._metres import ScanInMetres
from ptycho_data.formats._quantities import length, scale
from ptycho_data.units import metres_per

__all__ = [
    "BASIS",
    "DETECTOR",
    "USUAL_AXES",
    "DetectorAxes",
    "read_axes",
    "read_detector",
    "read_mask",
    "subtract_dark",
]

DETECTOR = "entry_1/instrument_1/detector_1"
DISTANCE = f"{DETECTOR}/distance"
_DARK = f"{DETECTOR}/data_dark"
BASIS = f"{DETECTOR}/basis_vectors"
_CORNER = f"{DETECTOR}/corner_position"
_MASKS = (f"{DETECTOR}/mask", "entry_1/data_1/mask")
_OTHER_MASK = f"{DETECTOR}/detector_mask"
#: Set where a pixel is brighter than the background: nothing is wrong with it.
_HAS_SIGNAL = 0x1000
#: Longest detector pixel in metres: longer basis vectors are directions without a length.
_LONGEST_PIXEL = 1e-2
#: Cosine beyond which axes are no longer taken as perpendicular.
_SKEW = 0.02
#: Positions along an axis that spread less than this share of the others' are constant.
_CONSTANT = 0.01
#: z that spreads more than this share of x or y belongs to the scan, not to the focus.
_MOVING = 0.1
#: Patterns whose mean is compared with the dark frames.
_PATTERNS = 16
#: What is left of so many standard deviations of the dark frames' noise is taken for noise. With
#: 200 counts of Poisson noise under 1e6 photons in 64 x 64 pixels, the correlation of the solver's
#: object with the true one is 0.984 for 0, 0.994 for 1, 0.997 for 2 and 0.996 for 3.
_NOISE = 2.0
#: Below this share of the dark frames, in this share of the pixels, they were subtracted before.
_DARKER, _PIXELS = 0.5, 0.1


@frozen(kw_only=True, eq=False)
class DetectorAxes:
    """Directions of a detector in the coordinates of CXI.

    Attributes
    ----------
    slow, fast : (3,) float64
        Unit vectors from row to row and from column to column.
    lengths_m
        (width, height) of a pixel; None where the file has directions only.
    """

    slow: NDArray[np.float64]
    fast: NDArray[np.float64]
    lengths_m: tuple[float, float] | None = None

    def along(
        self, translation: NDArray[Any], cautions: list[str]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return positions along the rows and columns of the patterns, in the given unit.

        The object is sampled along the axes of the detector. With the usual axes, x and y are the
        translation's own, as ptychodus has them.

        Parameters
        ----------
        translation : (n, 2) or (n, 3)
            Positions as CXI has them.
        cautions
            Receives what is unusual.
        """
        if translation.shape[1] > 2:
            translation = _in_plane(translation[:, :3], cautions)
        return _against(translation, self.fast), _against(translation, self.slow)


def _against(translation: NDArray[Any], axis: NDArray[np.float64]) -> NDArray[Any]:
    """Return positions (n,) along the opposite of an axis; unchanged where that is one of CXI's."""
    if (axis[:2] == (-1, 0)).all() or (axis[:2] == (0, -1)).all():
        return translation[:, int(axis[1] != 0)]
    with np.errstate(all="ignore"):  # the contract's check refuses what is not finite
        return np.asarray(-(translation @ axis[: translation.shape[1]]))


def _in_plane(translation: NDArray[Any], cautions: list[str]) -> NDArray[Any]:
    """Take z for the one of x and y that does not move, of a stage that scans in x and z."""
    real = translation.size > 0 and translation.dtype.kind in "iuf"
    if not real or not np.isfinite(translation).all():
        return translation
    spans = np.ptp(translation.astype(np.float64), axis=0)
    for still, moving in ((1, 0), (0, 1)):
        least = _CONSTANT * min(spans[moving], spans[2])
        if spans[still] <= least and spans[2] > _MOVING * spans[moving]:
            taken = translation.copy()
            taken[:, still], taken[:, 2] = translation[:, 2], translation[:, still]
            cautions.append(
                f"translation: {'xy'[still]} does not change, but z does: z was taken for "
                f"{'xy'[still]}; whether it is the right way round is not known: "
                f"see --flip-{'xy'[still]}"
            )
            return taken
    return translation


USUAL_AXES = DetectorAxes(slow=np.array([0.0, -1.0, 0.0]), fast=np.array([-1.0, 0.0, 0.0]))


def read_axes(file: H5File, cautions: list[str]) -> DetectorAxes:
    """Read the axes of the detector, the usual ones where the file has none.

    Parameters
    ----------
    file
        A file of CXI.
    cautions
        Receives what is unusual.

    Raises
    ------
    ScanFormatError
        They are no two directions.
    """
    if BASIS not in file:
        return USUAL_AXES
    values = file.read(BASIS)
    vectors = values.T if values.shape == (3, 2) else values
    if vectors.ndim == 3 and len(vectors):
        if (vectors != vectors[0]).any():
            cautions.append("basis_vectors differ from pattern to pattern: the first ones "
                                  "were taken for all")  # fmt: skip
        vectors = vectors[0]
    if vectors.shape != (2, 3) or vectors.dtype.kind not in "iuf":
        rule = "accompanied by basis_vectors of shape (2, 3), along columns and along rows"
        raise ScanFormatError.of(file.path, BASIS, rule, describe_array(values))
    vectors = vectors * (scale(file, BASIS, metres_per) or 1.0)
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.isfinite(lengths).all() and lengths.all()):
        rule = "accompanied by basis_vectors that are directions"
        raise ScanFormatError.of(file.path, BASIS, rule, f"{vectors.tolist()}")
    slow, fast = vectors / lengths[:, np.newaxis]
    if abs(slow @ fast) > _SKEW or max(abs(slow[2]), abs(fast[2])) > _SKEW:
        cautions.append(
            "basis_vectors are not perpendicular to each other and to the beam: positions are "
            "projected on them, which is exact only if they are"
        )
    known = lengths.max() < _LONGEST_PIXEL
    return DetectorAxes(
        slow=slow,
        fast=fast,
        lengths_m=(float(lengths[1]), float(lengths[0])) if known else None,
    )


def read_detector(file: H5File, axes: DetectorAxes, opened: Opened, found: ScanInMetres) -> None:
    """Read pixel and distance of the detector, and refuse a near field.

    Raises
    ------
    ScanFormatError
        A number is damaged.
    """
    if file.number(f"{DETECTOR}/near_field"):
        got = "patterns of the near field (detector_1/near_field is set)"
        opened.findings.add("diffraction", "of the far field", got)
    sizes = [length(file, f"{DETECTOR}/{side}_pixel_size") for side in "xy"]
    given = [size for size in sizes if size and size > 0]
    if given:
        found.detector_pixel_m = (given[0], given[-1])
    else:
        found.detector_pixel_m = axes.lengths_m
    if found.detector_pixel_m is not None and file.number(DISTANCE):
        return
    corner = file.read(_CORNER) if _CORNER in file else np.zeros(0)
    if corner.dtype.kind not in "iuf" or corner.shape[-1:] != (3,):
        return
    corner = corner.reshape(-1, 3)[0] * (scale(file, _CORNER, metres_per) or 1.0)
    found.distance_m = abs(float(corner @ np.cross(axes.slow, axes.fast))) or None
    if found.detector_pixel_m is None and found.stack is not None:
        # Zero frequency is at [N//2, N//2]: so many pixels from the first one.
        rows, columns = (max(1, size // 2) for size in found.stack.shape[1:])
        size = (abs(float(corner @ axes.fast)) / columns, abs(float(corner @ axes.slow)) / rows)
        found.detector_pixel_m = size if min(size) > 0 else None


def read_mask(file: H5File, found: ScanInMetres) -> NDArray[np.bool_] | None:
    """Read bad pixels; of masks for each pattern, what is bad in any of them.

    Raises
    ------
    ScanFormatError
        The mask is damaged.
    """
    name = first_of(file, _MASKS)
    if name is None:
        return _other_mask(file, found) if _OTHER_MASK in file else None
    if len(file.header(name).shape) != 3:
        return _is_bad(file.read(name))
    masks = file.stack(name)
    found.remarks.append("a mask for each pattern: pixels that are bad in any of them are left out")
    bad = np.zeros(masks.shape[1:], bool)
    for rows in chunk_rows(masks):
        bad |= _is_bad(masks[rows]).any(axis=0)
    return bad


def _is_bad(mask: NDArray[Any]) -> NDArray[np.bool_]:
    bits = mask.astype(np.int64) & ~_HAS_SIGNAL if mask.dtype.kind in "iu" else mask
    return np.asarray(bits != 0)


def _other_mask(file: H5File, found: ScanInMetres) -> NDArray[np.bool_]:
    marked = np.asarray(file.read(_OTHER_MASK) != 0)
    bad = marked if marked.mean() < 0.5 else ~marked
    found.cautions.append(
        f"detector_mask does not say whether it marks good or bad pixels: the rarer ones, "
        f"{int(bad.sum())} of {bad.size}, were taken as bad"
    )
    return bad


def subtract_dark(file: H5File, found: ScanInMetres) -> None:
    """Subtract the mean of the dark frames from the patterns, as they are read.

    Raises
    ------
    ScanFormatError
        The dark frames are damaged, or of another size than the patterns.
    """
    if _DARK not in file or found.stack is None:
        return
    dark, noise = _dark_frame(file)
    if dark.shape != found.stack.shape[1:]:
        rule = f"accompanied by data_dark of their own shape {found.stack.shape[1:]}"
        raise ScanFormatError.of(file.path, _DARK, rule, describe_array(dark))
    good = dark > 0 if found.bad_pixels is None else (dark > 0) & ~found.bad_pixels
    chosen = np.linspace(0, len(found.stack) - 1, min(len(found.stack), _PATTERNS)).astype(int)
    light = read_patterns(found.stack, np.unique(chosen), np.float64).mean(axis=0)
    if good.any() and (light < _DARKER * dark)[good].mean() > _PIXELS:
        found.cautions.append(
            "data_dark left alone: the patterns are darker than it, so it has been subtracted from "
            "them already"
        )
        return
    least = np.float32(_NOISE * noise)
    found.stack = changed(found.stack, partial(_minus, dark.astype(np.float32), least))
    share = dark[good].sum() / max(light[good].sum(), 1e-300)
    found.remarks.append(
        f"patterns: data_dark subtracted, {dark[good].mean():.6g} counts per pixel in the mean, "
        f"{share:.1%} of all; what is left below {least:.4g} is noise, and 0"
    )


def _dark_frame(file: H5File) -> tuple[NDArray[np.float64], float]:
    """Mean dark frame (H, W), and the noise of one frame in a usual pixel: 0 for a single frame.

    Pixels without a value in any frame are 0.
    """
    if len(file.header(_DARK).shape) == 3:
        frames = file.stack(_DARK)
    else:
        values = file.read(_DARK)
        frames = values.reshape(-1, *values.shape[-2:])
    total, squares, number = np.zeros((3, *frames.shape[1:]))
    for rows in chunk_rows(frames):
        values = np.asarray(frames[rows], np.float64)
        total += np.nansum(values, axis=0)
        squares += np.nansum(values * values, axis=0)
        number += np.isfinite(values).sum(axis=0)
    mean = total / np.maximum(number, 1)
    variance = (squares - number * mean * mean) / np.maximum(number - 1, 1)
    return mean, float(np.sqrt(max(np.median(variance[number > 1]), 0))) if len(frames) > 1 else 0.0


def _minus(dark: NDArray[np.float32], least: np.float32, patterns: NDArray[Any]) -> NDArray[Any]:
    """Subtract the dark frame; what a detector writes in place of a value stays as it is.

    Of noise around zero, the positive half would remain as light that falls everywhere.
    """
    out = patterns.astype(np.float32) - dark
    out[out < max(least, np.float32(0))] = 0
    if patterns.dtype.kind in "iu":
        out[patterns == np.iinfo(patterns.dtype).max] = np.iinfo(patterns.dtype).max
    return out
