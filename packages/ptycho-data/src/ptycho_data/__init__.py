"""Read, check, group and write ptychography scans."""

from ptycho_data.__about__ import __version__
from ptycho_data._atomic import refuse_irregular
from ptycho_data._bundle import (
    BUNDLE_NAME,
    Bundle,
    BundleError,
    check_bundle,
    load_bundle,
    save_bundle,
)
from ptycho_data._changes import CentredSource
from ptycho_data._contract import as_modes
from ptycho_data._domain import Domain
from ptycho_data._files import (
    OutputExistsError,
    atomic_path,
    file_sha256,
    jsonable,
    refuse_existing,
    write_json,
    write_npz,
)
from ptycho_data._fixture import axis_coverage, fixture_indices, save_fixture
from ptycho_data._geometry import half_pixel
from ptycho_data._grouping import group_positions, subsample
from ptycho_data._inputs import refuse_inputs
from ptycho_data._load import load_scan, save_scan, scan_from_arrays, validate
from ptycho_data._locks import FolderInUseError, folder_lock
from ptycho_data._manifest import MANIFEST, ResultSetError
from ptycho_data._mapped import Stamp
from ptycho_data._moved import MOVED
from ptycho_data._npz import load_arrays
from ptycho_data._patterns import Negative
from ptycho_data._places import places
from ptycho_data._preview import (
    StoredObject,
    list_arrays,
    load_experiment,
    load_object,
    load_parts,
    load_probe,
    probe_size,
    stated_photons,
)
from ptycho_data._probe_files import StoredProbe, load_stored_probe
from ptycho_data._protected import protection
from ptycho_data._reconstruction import (
    Reconstruction,
    ReconstructionError,
    load_reconstruction,
    save_reconstruction,
)
from ptycho_data._results import (
    PICTURE_FILES,
    RESULT_FILES,
    result_bytes,
    save_product,
    write_pictures,
    write_results,
)
from ptycho_data._scan import Scan
from ptycho_data._sets import (
    MODEL_SET,
    RECONSTRUCTION_SET,
    SetKind,
    finish_commit,
    read_set,
    replaced_files,
    result_set,
)
from ptycho_data._space import NoSpaceError, need_space
from ptycho_data._stack import LazyStack, chunk_rows, read_patterns
from ptycho_data._staging import remove_leftovers, staging
from ptycho_data._violations import MissingScanError, ScanFormatError, ScanFormatWarning, Violation
from ptycho_data._wholeness import Wholeness, wholeness
from ptycho_data.formats import FORMATS, Format, format_named, format_of, known_formats

__all__ = [
    "BUNDLE_NAME",
    "FORMATS",
    "MANIFEST",
    "MODEL_SET",
    "PICTURE_FILES",
    "RECONSTRUCTION_SET",
    "RESULT_FILES",
    "Bundle",
    "BundleError",
    "CentredSource",
    "Domain",
    "FolderInUseError",
    "Format",
    "LazyStack",
    "MissingScanError",
    "Negative",
    "NoSpaceError",
    "OutputExistsError",
    "Reconstruction",
    "ReconstructionError",
    "ResultSetError",
    "Scan",
    "ScanFormatError",
    "ScanFormatWarning",
    "SetKind",
    "Stamp",
    "StoredObject",
    "StoredProbe",
    "Violation",
    "Wholeness",
    "__version__",
    "as_modes",
    "atomic_path",
    "axis_coverage",
    "check_bundle",
    "chunk_rows",
    "file_sha256",
    "finish_commit",
    "fixture_indices",
    "folder_lock",
    "format_named",
    "format_of",
    "group_positions",
    "half_pixel",
    "jsonable",
    "known_formats",
    "list_arrays",
    "load_arrays",
    "load_bundle",
    "load_experiment",
    "load_object",
    "load_parts",
    "load_probe",
    "load_reconstruction",
    "load_scan",
    "load_stored_probe",
    "need_space",
    "places",
    "probe_size",
    "protection",
    "read_patterns",
    "read_set",
    "refuse_existing",
    "refuse_inputs",
    "refuse_irregular",
    "remove_leftovers",
    "replaced_files",
    "result_bytes",
    "result_set",
    "save_bundle",
    "save_fixture",
    "save_product",
    "save_reconstruction",
    "save_scan",
    "scan_from_arrays",
    "staging",
    "stated_photons",
    "subsample",
    "validate",
    "wholeness",
    "write_json",
    "write_npz",
    "write_pictures",
    "write_results",
]

MOVED.install()
