"""A scan as data."""

import math
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, fields, frozen
from numpy.typing import ArrayLike, NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._contract import check_layout, mode_axis_first
from ptycho_data._domain import DOMAINS, Domain
from ptycho_data._experiment import Experiment, differ
from ptycho_data._mapped import MapReference
from ptycho_data._measure import measure
from ptycho_data._stack import (
    Stack,
    as_index,
    as_slice,
    portable,
    read_patterns,
    rows_of,
    some_of,
)
from ptycho_data._statements import statements
from ptycho_data._violations import Findings, ScanFormatError, ScanFormatWarning
from ptycho_data.display import Displayed
from ptycho_data.units import PARTICLES, Particle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _positions(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _optional_positions(values: ArrayLike | None) -> NDArray[np.float64] | None:
    return None if values is None else _positions(values)


def _place(origin: ArrayLike | None) -> tuple[float, float] | None:
    """Bring an origin to a pair of floats."""
    if origin is None:
        return None
    values = np.asarray(origin, dtype=np.float64)
    if values.shape != (2,) or not np.isfinite(values).all():
        raise InvalidValueError("origin_m", "two finite numbers, x and y in metres", f"{origin}")
    return float(values[0]), float(values[1])


def _modes(probe: ArrayLike) -> NDArray[np.complex64]:
    """Bring a probe to (M, N, N) complex64; what is no probe is refused later, with all fields."""
    modes = mode_axis_first(np.asarray(probe))
    return modes.astype(np.complex64, copy=False) if modes.dtype.kind == "c" else modes


@frozen(eq=False, kw_only=True, repr=False)
class Scan(Displayed):
    """Diffraction patterns with the positions and the probe that made them.

    Shapes and dtypes are checked when a scan is made; values are checked by `load_scan` and
    `validate`. Positions are pixels of the object grid: ``xcoords`` is the column and ``ycoords``
    the row of the object pixel under patch pixel ``[N//2, N//2]``. Zero frequency lies at pixel
    ``[N//2, N//2]`` of a pattern.

    Attributes
    ----------
    diffraction : ndarray, memmap or LazyStack, (n, N, N)
        Patterns in the dtype they were stored in, on disk where they are mapped or lazy: index
        them for a few at a time. See `counts` for what to compute with.
    xcoords, ycoords : ndarray, (n,) float64
        Positions in pixels.
    probe : ndarray, (M, N, N) complex64
        Probe modes; a single (N, N) mode is given its leading axis.
    domain : {"counts", "amplitude"}
        What `diffraction` holds.
    object_guess : ndarray, (H, W) complex64, optional
        Object on the grid of the positions.
    patches : ndarray, memmap or LazyStack, (n, N, N) complex64, optional
        Ground truth of each pattern's object patch.
    xcoords_start, ycoords_start : ndarray, (n,) float64, optional
        Nominal positions; where absent, the positions are the nominal ones.
    scan_index : ndarray, (n,) int64, optional
        Number of the scan each pattern belongs to; where absent, all are scan 0.
    bad_pixels : ndarray, (N, N) bool, optional
        True where the detector has no valid value.
    background : ndarray, (N, N) float32, optional
        Counts whose photon noise is in the patterns, but which were subtracted: a dark level.
    subtracted : ndarray, (N, N) float32, optional
        What was subtracted, if more than `background`: values below it are zero.
    nphotons : float, optional
        Mean photons per pattern: the absolute scale of amplitudes.
    pixel_size_m : float, optional
        Object pixel in metres. Where it is not given, it follows from energy, distance and detector
        pixel, if all three are known.
    photon_energy_ev, detector_distance_m, detector_pixel_size_m : float, optional
        The experiment, where known: energy in eV, lengths in metres. Of electrons, the energy is
        the kinetic one: the accelerating voltage.
    particle : {"photon", "electron"}
        What is diffracted: it decides how wavelength and energy are related.
    origin_m : tuple of float, optional
        (x, y) in metres of pixel (0, 0) of the object grid on the stage, where it is known: a
        position lies at ``origin_m + position * pixel_size_m``.
    probe_made : bool
        Whether the probe is an estimate of this program, in focus by assumption, since the file had
        none. Its size on the sample, and so the overlap, is not known then.
    source : Path, optional
        File the patterns came from.
    files : tuple of Path
        All files the scan came from.

    Raises
    ------
    ScanFormatError
        If shapes or dtypes contradict each other; every contradiction is listed.

    Warns
    -----
    ScanFormatWarning
        If the stated object pixel differs by more than one percent from that of the geometry.
    """

    diffraction: Stack
    xcoords: NDArray[np.float64] = field(converter=_positions)
    ycoords: NDArray[np.float64] = field(converter=_positions)
    probe: NDArray[np.complex64] = field(converter=_modes)
    domain: Domain
    object_guess: NDArray[np.complex64] | None = None
    patches: Stack | None = None
    xcoords_start: NDArray[np.float64] | None = field(default=None, converter=_optional_positions)
    ycoords_start: NDArray[np.float64] | None = field(default=None, converter=_optional_positions)
    scan_index: NDArray[np.int64] | None = None
    bad_pixels: NDArray[np.bool_] | None = None
    background: NDArray[np.float32] | None = None
    subtracted: NDArray[np.float32] | None = None
    nphotons: float | None = None
    _pixel_size_m: float | None = None
    photon_energy_ev: float | None = None
    detector_distance_m: float | None = None
    detector_pixel_size_m: float | None = None
    particle: Particle = "photon"
    origin_m: tuple[float, float] | None = field(default=None, converter=_place)
    probe_made: bool = False
    source: Path | None = None
    files: tuple[Path, ...] = ()
    _known_totals: NDArray[np.float64] | None = field(default=None, repr=False)
    _warned: tuple[float, float] | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check shapes and dtypes together, which no single field can."""
        findings = Findings(str(self.source or "scan"))
        layout = check_layout(self.arrays(), findings)
        for key in layout.transposed:
            shape = self.arrays()[key].shape
            findings.add(key, "of shape (n, N, N), patterns first", f"{shape}")
        if self.domain not in DOMAINS:
            findings.add("domain", "counts or amplitude", repr(self.domain))
        if self.particle not in PARTICLES:
            findings.add("particle", "photon or electron", repr(self.particle))
        for key, value in (
            ("nphotons", self.nphotons),
            ("pixel_size_m", self._pixel_size_m),
            ("photon_energy_eV", self.photon_energy_ev),
            ("detector_distance_m", self.detector_distance_m),
            ("detector_pixel_size_m", self.detector_pixel_size_m),
        ):
            if value is not None and not 0 < value < math.inf:
                findings.add(key, "a positive number", f"{value:g}")
        if findings.violations:
            raise ScanFormatError(findings.violations)
        self._compare_pixels()

    def _compare_pixels(self) -> None:
        """Warn, once for a scan and all made from it, where it contradicts its own geometry."""
        stated, derived = self._pixel_size_m, self._derived_pixel
        if stated is None or derived is None or not differ(derived, stated):
            return
        if self._warned == (stated, derived):
            return
        object.__setattr__(self, "_warned", (stated, derived))
        warnings.warn(
            f"{self.source or 'scan'}: the object pixel is stated as {stated * 1e9:.6g} nm, but "
            f"wavelength * distance / (N * detector pixel) is {derived * 1e9:.6g} nm; the stated "
            "one was taken",
            ScanFormatWarning,
            stacklevel=4,
        )

    @property
    def _derived_pixel(self) -> float | None:
        known = Experiment(
            photon_energy_ev=self.photon_energy_ev,
            detector_distance_m=self.detector_distance_m,
            detector_pixel_size_m=self.detector_pixel_size_m,
            particle=self.particle,
        )
        return known.derived_pixel(self.N)

    @property
    def pixel_size_m(self) -> float | None:
        """Object pixel in metres, as stated or from the geometry; None where neither is known."""
        return self._derived_pixel if self._pixel_size_m is None else self._pixel_size_m

    def experiment(self) -> dict[str, Any]:
        """Return what is known of experiment and stage, under the keys of ``_metadata``."""
        return statements(self)

    def arrays(self) -> dict[str, Any]:
        """Return the arrays under the keys of the NPZ contract, absent ones left out.

        Stacks are as they are here, in memory or on disk.
        """
        candidates: dict[str, Stack | None] = {
            "diffraction": self.diffraction,
            "xcoords": self.xcoords,
            "ycoords": self.ycoords,
            "xcoords_start": self.xcoords_start,
            "ycoords_start": self.ycoords_start,
            "scan_index": self.scan_index,
            "probeGuess": self.probe,
            "objectGuess": self.object_guess,
            "Y": self.patches,
            "bad_pixels": self.bad_pixels,
            "background": self.background,
            "subtracted": self.subtracted,
        }
        return {key: array for key, array in candidates.items() if array is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross process borders with stacks on disk as the names of their files."""
        values = {f.name.lstrip("_"): getattr(self, f.name) for f in fields(type(self))}
        for name in ("diffraction", "patches"):
            values[name] = portable(values[name])
        return _scan_again, (values,)

    @property
    def name(self) -> str:
        """Name of its file without the suffix, or of the folder for a usual name; may be empty."""
        if self.source is None:
            return ""
        usual = self.source.stem in ("diffraction", "patterns")
        return (self.source.absolute().parent.name if usual else "") or self.source.stem

    def _facts(self) -> dict[str, str]:
        modes = f"{len(self.probe)} mode{'s' * (len(self.probe) > 1)}"
        pixel, energy = self.pixel_size_m, self.photon_energy_ev
        kind = f"{self.domain} in {self.diffraction.dtype}"
        return {
            "patterns": f"{self.n} of {self.N} x {self.N}, {kind}",
            "probe": modes + ", an estimate" * self.probe_made,
            "object pixel": "" if pixel is None else f"{pixel * 1e9:.4g} nm",
            "energy": "" if energy is None else f"{energy / 1e3:.4g} keV, {self.particle}s",
            "photons per pattern": "" if self.nphotons is None else f"{self.nphotons:.4g}",
            "bad pixels": "" if self.bad_pixels is None else f"{np.count_nonzero(self.bad_pixels)}",
            "file": "" if self.source is None else str(self.source),
        }

    def plot(self) -> "Figure":
        """Draw the mean of some patterns, the probe and the positions.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        from ptycho_data.plots import plot_scan

        return plot_scan(self)

    @property
    def n(self) -> int:
        """Number of patterns."""
        return int(self.diffraction.shape[0])

    @property
    def N(self) -> int:  # noqa: N802 (the field's own name for the pattern size)
        """Pattern size in pixels."""
        return int(self.diffraction.shape[1])

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Positions (n, 2) as (x, y) = (column, row), in pixels; not to be written to.

        Made once: batches of a long scan ask for a few of them at a time.
        """
        stacked = np.stack([self.xcoords, self.ycoords], axis=1)
        stacked.flags.writeable = False
        return stacked

    @property
    def start_positions(self) -> NDArray[np.float64]:
        """Nominal positions (n, 2) as (x, y), in pixels."""
        x = self.xcoords if self.xcoords_start is None else self.xcoords_start
        y = self.ycoords if self.ycoords_start is None else self.ycoords_start
        return np.stack([x, y], axis=1)

    @cached_property
    def intensity_totals(self) -> NDArray[np.float64]:
        """Sum over pixels of counts, or of squared amplitudes, of each pattern: (n,).

        Bad pixels are left out. Made in one pass of flat memory, unless `load_scan` already did.
        """
        if self._known_totals is not None:
            return self._known_totals
        squares = self.domain == "amplitude"
        statistics = measure(self.diffraction, bad_pixels=self.bad_pixels, squares=squares)
        return statistics.totals if statistics.square_totals is None else statistics.square_totals

    def mean_photons(self, nphotons: float | None = None) -> float:
        """Return the mean photons per pattern.

        Parameters
        ----------
        nphotons
            Absolute scale of amplitudes, used only if the scan has none.

        Returns
        -------
        float
            Mean of the counts' sums, bad pixels left out; for amplitudes the stated photons.

        Raises
        ------
        InvalidValueError
            If the scan holds amplitudes and the photons are not known.
        """
        if self.domain == "counts":
            return float(self.intensity_totals.mean())
        photons = self.nphotons if self.nphotons is not None else nphotons
        if photons is None or not 0 < photons < float("inf"):
            rule = "a positive number, the mean photons per pattern"
            advice = "amplitudes have no absolute scale; set nphotons"
            raise InvalidValueError(
                f"{self.source or 'scan'}: nphotons", rule, f"{photons}", advice
            )
        return float(photons)

    def counts(
        self, indices: ArrayLike | slice | None = None, nphotons: float | None = None
    ) -> NDArray[np.float32]:
        """Return patterns as photon counts.

        Amplitudes become ``amplitude**2 * nphotons / mean over the scan of sum(amplitude**2)``,
        so that the mean pattern of the scan has `nphotons` photons. Bad pixels are 0.

        Parameters
        ----------
        indices
            Patterns wanted, in this order; None for all (mind the memory).
        nphotons
            Absolute scale of amplitudes, used only if the scan has none.

        Returns
        -------
        ndarray, (k, N, N) float32
            Counts, in memory of their own.

        Raises
        ------
        InvalidValueError
            If the scan holds amplitudes and the photons are not known, or all of them are 0.
        """
        chosen = slice(None) if indices is None else as_index(indices)
        counts = read_patterns(self.diffraction, chosen, np.float32)
        if self.domain == "amplitude":
            mean = float(self.intensity_totals.mean())
            if not mean > 0:
                name = f"{self.source or 'scan'}: diffraction"
                raise InvalidValueError(name, "nonzero somewhere", "zeros only")
            np.square(counts, out=counts)
            counts *= np.float32(self.mean_photons(nphotons) / mean)
        if self.bad_pixels is not None:
            counts[:, self.bad_pixels] = 0
        return counts

    def select(self, indices: ArrayLike | slice) -> "Scan":
        """Return the scan of some of the patterns.

        Counts stay the same: ``scan.select(i).counts() == scan.counts(i)`` to rounding, because
        stated photons are rescaled to the mean of the selected patterns.

        Parameters
        ----------
        indices
            Patterns wanted, in this order. Stacks on disk stay there, and are read when asked
            for; of a stack in memory, a slice or indices at a constant positive step make a view,
            other indices a copy.

        Returns
        -------
        Scan
            With its own n; object, probe and mask are shared.
        """
        chosen = as_slice(as_index(indices), self.n)
        totals = self.intensity_totals[chosen] if self._totals_wanted else None
        nphotons = self.nphotons
        if self.domain == "amplitude" and nphotons is not None and totals is not None:
            ratio = float(totals.mean() / self.intensity_totals.mean())
            nphotons = nphotons * ratio if 0 < ratio < float("inf") else nphotons
        return evolve(
            self,
            diffraction=some_of(self.diffraction, chosen),
            xcoords=self.xcoords[chosen],
            ycoords=self.ycoords[chosen],
            patches=None if self.patches is None else some_of(self.patches, chosen),
            xcoords_start=rows_of(self.xcoords_start, chosen),
            ycoords_start=rows_of(self.ycoords_start, chosen),
            scan_index=rows_of(self.scan_index, chosen),
            nphotons=nphotons,
            known_totals=totals,
        )

    def scans(self) -> list["Scan"]:
        """Return the scans that `scan_index` tells apart, by their numbers; one is itself."""
        numbers = self.scan_numbers
        if len(numbers) == 1:
            return [self]
        return [self.select(np.flatnonzero(self.scan_index == number)) for number in numbers]

    @property
    def scan_numbers(self) -> list[int]:
        """Different values of `scan_index`, ascending; 0 if there is none."""
        return [0] if self.scan_index is None else np.unique(self.scan_index).tolist()

    @property
    def label(self) -> str:
        """How messages call the scan: its file, and its number in there if that is not 0."""
        file, numbers = str(self.source or "the scan"), self.scan_numbers
        return file if len(numbers) > 1 or numbers == [0] else f"{file}, scan {numbers[0]}"

    def single(self, scan_index: int | None = None) -> "Scan":
        """Return one of the scans that `scan_index` tells apart: patterns on one object.

        Parameters
        ----------
        scan_index
            Its number; None for the only one.

        Raises
        ------
        InvalidValueError
            If there is no scan of that number, or there are several and none is chosen.
        """
        numbers = self.scan_numbers
        if scan_index is None and len(numbers) == 1:
            return self
        if scan_index in numbers:
            return self if len(numbers) == 1 else self.scans()[numbers.index(scan_index)]
        shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        if scan_index is not None:
            raise InvalidValueError("scan_index", f"one of {shown}", f"{scan_index}")
        raise InvalidValueError(
            f"{self.source or 'scan'}: scan_index",
            "the same for all patterns, which are of one object then",
            f"{len(numbers)} scans: {shown}",
            "choose one of them with --scan-index (in Python: scan.single(NUMBER)); training takes "
            "all of them",
        )

    @property
    def _totals_wanted(self) -> bool:
        """Whether sums of all patterns are at hand, or needed to keep the scale."""
        scaled = self.domain == "amplitude" and self.nphotons is not None
        return self._known_totals is not None or scaled


def _scan_again(values: dict[str, Any]) -> Scan:
    for name in ("diffraction", "patches"):
        if isinstance(values[name], MapReference):
            values[name] = values[name].open()
    return Scan(**values)
