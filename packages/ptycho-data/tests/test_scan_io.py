import logging
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ptycho_data import (
    OutputExistsError,
    ScanFormatError,
    ScanFormatWarning,
    load_scan,
    save_scan,
    scan_from_arrays,
    validate,
)

FIELDS = (
    "diffraction", "xcoords", "ycoords", "probe", "domain", "object_guess", "patches",
    "xcoords_start", "ycoords_start", "scan_index", "bad_pixels", "nphotons", "pixel_size_m",
)  # fmt: skip


def assert_same(got, wanted):
    for name in FIELDS:
        a, b = getattr(got, name), getattr(wanted, name)
        assert (a is None) == (b is None), name
        np.testing.assert_array_equal(a, b, err_msg=name)
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype, name


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(2, 9),
    N=st.integers(1, 9),
    modes=st.integers(1, 3),
    dtype=st.sampled_from(["u1", ">u2", "i4", "f4", "f8"]),
    domain=st.sampled_from(["counts", "amplitude"]),
    dropped=st.sets(st.sampled_from(
        ["objectGuess", "Y", "xcoords_start", "scan_index", "bad_pixels", "nphotons",
         "pixel_size_m"])),
)  # fmt: skip
def test_round_trip_is_exact(tmp_path, contract_arrays, n, N, modes, dtype, domain, dropped):
    arrays = contract_arrays(n=n, N=N, modes=modes)
    arrays = {key: array for key, array in arrays.items() if key not in dropped}
    arrays |= {"diffraction": arrays["diffraction"].astype(dtype), "domain": np.array(domain)}
    arrays.pop("bad_pixels", None) if N < 4 else None  # all of few pixels may be bad
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScanFormatWarning)  # n == N, of bare arrays
        scan = scan_from_arrays(arrays)
    save_scan(tmp_path / "a.npz", scan, overwrite=True)
    loaded = load_scan(tmp_path / "a.npz")  # no warning: our files state their axes
    assert_same(loaded, scan)
    assert loaded.source == tmp_path / "a.npz"
    np.testing.assert_array_equal(loaded.intensity_totals, scan.intensity_totals)


def test_same_scan_same_bytes_and_no_silent_overwriting(tmp_path, contract_arrays):
    scan = scan_from_arrays(contract_arrays())
    save_scan(tmp_path / "a.npz", scan)
    save_scan(tmp_path / "b.npz", load_scan(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(OutputExistsError):
        save_scan(tmp_path / "a.npz", scan)
    save_scan(tmp_path / "a.npz", load_scan(tmp_path / "a.npz"), overwrite=True)
    assert_same(load_scan(tmp_path / "a.npz"), scan)


def test_stored_stacks_are_mapped_and_compressed_ones_read(tmp_path, contract_arrays):
    arrays = contract_arrays()
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    plain, packed = load_scan(tmp_path / "plain.npz"), load_scan(tmp_path / "packed.npz")
    assert isinstance(plain.diffraction, np.memmap)
    assert isinstance(plain.patches, np.memmap)
    assert not isinstance(packed.diffraction, np.memmap)
    assert_same(plain, packed)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_legacy_files_read_like_good_ones(tmp_path, contract_arrays, save, caplog):
    good = contract_arrays(modes=1)
    legacy = {
        "diff3d": np.moveaxis(good["diffraction"], 0, 2),
        "probeGuess": np.moveaxis(good["probeGuess"], 0, 2).astype(np.complex128),
        "xcoords": good["xcoords"].astype(np.float32),
        "ycoords": good["ycoords"].astype(np.float32),
        "Y": good["Y"][..., np.newaxis].astype(np.complex128),
        "scan_index": np.zeros(12),
        "something": np.arange(3),
    }
    save(tmp_path / "a.npz", **{k: np.ascontiguousarray(v) for k, v in legacy.items()})
    with caplog.at_level(logging.INFO):
        scan = load_scan(tmp_path / "a.npz")
    assert "FORMAT-001: diffraction stored as (H, W, n)" in caplog.text
    np.testing.assert_array_equal(scan.diffraction, good["diffraction"])
    np.testing.assert_array_equal(scan.probe, good["probeGuess"])
    np.testing.assert_array_equal(scan.patches, good["Y"])
    dtypes = [a.dtype for a in (scan.probe, scan.patches, scan.xcoords, scan.scan_index)]
    assert dtypes == [np.complex64, np.complex64, np.float64, np.int64]


def test_cube_warns_and_keeps_the_contract(tmp_path, contract_arrays):
    arrays = contract_arrays(n=8, N=8)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.warns(ScanFormatWarning, match="FORMAT-001: 8 patterns of 8 pixels"):
        scan = load_scan(tmp_path / "a.npz")
    np.testing.assert_array_equal(scan.diffraction, arrays["diffraction"])
    assert validate(tmp_path / "a.npz") == []


def test_every_violation_of_layout_and_values_at_once(tmp_path, contract_arrays):
    arrays = contract_arrays(domain="amplitude")
    arrays["diffraction"][3, 2, 2] = np.nan
    arrays["bad_pixels"][:] = False
    arrays |= {
        "probeGuess": np.zeros((8, 8), np.complex64),
        "Y": np.ones((12, 8, 8)),
        "xcoords_start": np.ones(5),
        "objectGuess": np.array([[object()]]),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    violations = validate(tmp_path / "a.npz")
    wrong = {"diffraction", "probeGuess", "Y", "xcoords_start", "objectGuess"}
    assert {violation.key for violation in violations} == wrong
    assert {violation.file for violation in violations} == {str(tmp_path / "a.npz")}
    with pytest.raises(ScanFormatError, match="5 violations") as caught:
        load_scan(tmp_path / "a.npz")
    assert list(caught.value.violations) == violations
    assert "\n" not in str(caught.value)
    assert {v.key for v in validate(arrays)} == wrong


def test_argument_wins_over_the_file(tmp_path, contract_arrays):
    arrays = contract_arrays() | {"domain": np.array("amplitude")}
    np.savez(tmp_path / "a.npz", **arrays)
    assert load_scan(tmp_path / "a.npz").domain == "amplitude"
    assert load_scan(tmp_path / "a.npz", domain="counts").domain == "counts"
    with pytest.raises(ValueError, match="domain must be counts or amplitude"):
        load_scan(tmp_path / "a.npz", domain="photons")


@pytest.mark.parametrize("key", ["diffraction", "Y"])
def test_flipped_bit_in_a_mapped_stack_is_found(tmp_path, contract_arrays, key):
    arrays = contract_arrays(N=32)
    np.savez(tmp_path / "a.npz", **arrays)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    place = content.index(arrays[key].tobytes())
    content[place] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ScanFormatError, match=rf"a\.npz: {key} must be .*CRC-32"):
        load_scan(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_scan_gives_one_error(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ScanFormatError, match=r"^\S*a\.npz( must be |: )"):
        load_scan(tmp_path / "a.npz")
    (violation, *_) = validate(tmp_path / "missing.npz")
    assert (violation.key, violation.got) == ("", "no such file")


def test_truncated_file(tmp_path, contract_arrays):
    np.savez(tmp_path / "a.npz", **contract_arrays())
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ScanFormatError, match="complete and undamaged"):
        load_scan(tmp_path / "a.npz")


def resident_file_pages():
    """Return the bytes of mapped files that are resident, from the kernel's own account."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"RssFile:\s+(\d+)", text)[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the account of Linux")
def test_mapped_stack_does_not_stay_in_memory(tmp_path):
    n = 5000
    stack = np.full((n, 64, 64), 3, np.uint16)
    arrays = {"xcoords": np.arange(n), "ycoords": np.arange(n) % 7,
              "probeGuess": np.ones((64, 64), np.complex64)}  # fmt: skip
    np.savez(tmp_path / "a.npz", diffraction=stack, **arrays)
    before = resident_file_pages()
    scan = load_scan(tmp_path / "a.npz")
    for start in range(0, n, 100):
        assert scan.counts(np.arange(start, start + 100)).max() == 3
    assert resident_file_pages() - before < stack.nbytes / 4


def test_foreign_file_is_told_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", counts=np.ones((3, 4, 4)), probe=np.ones((4, 4)))
    missing = validate(tmp_path / "a.npz")
    assert [v.key for v in missing] == ["diffraction", "xcoords", "ycoords"]
    assert missing[0].got == "no such array"
    assert missing[0].advice == "the file holds: counts, probe"


@pytest.mark.parametrize(
    ("other", "told"), [({}, "in the file: a first"), ({"probe": np.ones(3)}, r"\(but probe\)")]
)
def test_a_probe_is_made_where_the_file_has_none(tmp_path, contract_arrays, other, told):
    arrays = contract_arrays()
    del arrays["probeGuess"]
    np.savez(tmp_path / "a.npz", **arrays, **other)
    with pytest.warns(ScanFormatWarning, match=rf"no array probeGuess .*{told}"):
        scan = load_scan(tmp_path / "a.npz")
    assert scan.probe_made
    assert scan.probe.shape == (1, scan.N, scan.N)
