"""A scan as an NPZ file of the contract."""

import json
from os import PathLike
from typing import Any

import numpy as np

from ptycho_data.atomic import write_npz
from ptycho_data.scan import Scan

__all__ = ["AXES", "contract_members", "write_scan_npz"]

AXES = "nyx"
"""Axis order written into our own files, so that n == N is no question for them."""


def contract_members(scan: Scan) -> dict[str, Any]:
    """Return everything a file of the contract says of a scan; stacks are as they are there."""
    arrays = scan.arrays()
    arrays["domain"] = np.array(scan.domain)
    for key, value in (("nphotons", scan.nphotons), ("pixel_size_m", scan.pixel_size_m)):
        if value is not None:
            arrays[key] = np.array(value, dtype=np.float64)
    metadata: dict[str, object] = {"axes": AXES, "domain": scan.domain}
    metadata |= {key: value for key, value in scan.experiment().items() if value is not None}
    arrays["_metadata"] = np.array(json.dumps(metadata))
    return arrays


def write_scan_npz(path: str | PathLike[str], scan: Scan, overwrite: bool = False) -> list[str]:
    """Write a scan as `ptycho_data.save_scan` does; nothing is lost, so the list is empty."""
    write_npz(path, contract_members(scan), overwrite=overwrite)
    return []
