"""Read, check, group and write ptychography scans."""

from ptycho_data.__about__ import __version__
from ptycho_data.atomic import OutputExistsError, atomic_path, write_json, write_npz
from ptycho_data.bundle import (
    BUNDLE_NAME,
    Bundle,
    BundleError,
    check_bundle,
    load_bundle,
    save_bundle,
)
from ptycho_data.contents import Domain
from ptycho_data.errors import ScanFormatError, ScanFormatWarning, Violation
from ptycho_data.fixture import axis_coverage, fixture_indices, save_fixture
from ptycho_data.formats import FORMATS, Format, format_named, format_of
from ptycho_data.grouping import group_positions, subsample
from ptycho_data.npz import load_arrays
from ptycho_data.preview import list_arrays, load_parts, probe_size, stated_photons
from ptycho_data.probe_file import load_probe
from ptycho_data.product import save_product
from ptycho_data.reconstruction import (
    Reconstruction,
    ReconstructionError,
    load_reconstruction,
    save_reconstruction,
)
from ptycho_data.results import RESULT_FILES, write_pictures, write_results
from ptycho_data.scan import Scan
from ptycho_data.scan_io import load_scan, save_scan, scan_from_arrays, validate

__all__ = [
    "BUNDLE_NAME",
    "FORMATS",
    "RESULT_FILES",
    "Bundle",
    "BundleError",
    "Domain",
    "Format",
    "OutputExistsError",
    "Reconstruction",
    "ReconstructionError",
    "Scan",
    "ScanFormatError",
    "ScanFormatWarning",
    "Violation",
    "__version__",
    "atomic_path",
    "axis_coverage",
    "check_bundle",
    "fixture_indices",
    "format_named",
    "format_of",
    "group_positions",
    "list_arrays",
    "load_arrays",
    "load_bundle",
    "load_parts",
    "load_probe",
    "load_reconstruction",
    "load_scan",
    "probe_size",
    "save_bundle",
    "save_fixture",
    "save_product",
    "save_reconstruction",
    "save_scan",
    "scan_from_arrays",
    "stated_photons",
    "subsample",
    "validate",
    "write_json",
    "write_npz",
    "write_pictures",
    "write_results",
]
