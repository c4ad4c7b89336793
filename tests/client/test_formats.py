"""Scans of ptychodus read here, scans of ours read there, each by its own program.

The scan is lopsided wherever it can be: an object without symmetry, wider than high, off centre;
more columns than rows of positions; a probe beside the middle. A flip, a swap or half a pixel
fails.
"""

import attrs
import h5py
import numpy as np
import pytest
from ptycho_data import Scan, ScanFormatWarning, load_probe, load_scan, save_scan
from ptycho_data.formats import FORMATS, format_named
from ptycho_physics import extract_patches, intensity
from ptychodus.api.constants import energy_eV_to_wavelength_m
from ptychodus.api.diffraction import (
    DiffractionDatasetLayoutNode,
    DiffractionMetadata,
    SimpleDiffractionArray,
    SimpleDiffractionDataset,
)
from ptychodus.api.geometry import ImageExtent, PixelGeometry
from ptychodus.api.io import (
    load_diffraction_data,
    load_product,
    save_diffraction_data,
    save_product,
    save_ptychopinn_training_data,
)
from ptychodus.api.object import Object, ObjectCenter, ObjectPosition
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePositionSequence
from ptychodus.api.product import Product, ProductMetadata
from ptychodus.api.reconstruct import prepare_reconstruct_input
from ptychodus.api.simulate.diffraction import generate_diffraction_data
from ptychodus.plugins.cxi_file import (
    CXIDiffractionFileReader,
    CXIDiffractionFileWriter,
    CXIProductFileIO,
)
from ptychodus.plugins.fold_slice.position_file import (
    FoldSlicePositionFileReader,
    read_fold_slice_parameters,
)
from ptychodus.plugins.h5_diffraction_file import H5DiffractionFileReader
from ptychodus.plugins.npz_diffraction_file import NPZDiffractionFileIO
from ptychodus.plugins.npz_product_file import NPZProductFileIO
from ptychodus.plugins.slac_npz_file import SLACDiffractionFileReader, SLACProductFileReader

ENERGY_EV, DISTANCE_M, DETECTOR_M = 9000.0, 0.05, 55e-6
COLUMNS, ROWS = 9, 6


def smooth(rng, shape, width):
    """Noise without fine detail, so that shifts by parts of a pixel are exact."""
    spectrum = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    y, x = np.meshgrid(*(np.fft.fftfreq(k) for k in shape), indexing="ij")
    field = np.fft.ifft2(spectrum * np.exp(-(x**2 + y**2) * width**2))
    return field / np.abs(field).max()


def make_probe(N, modes):
    y, x = np.indices((N, N)) - N / 2
    first = np.exp(-((x - 2) ** 2 + 1.7 * (y + 3) ** 2) / (N / 6) ** 2 + 0.02j * (x * x - x * y))
    return np.stack([first, 0.4j * (x + 0.5 * y) / N * first][:modes])


def make_product(N=32, modes=2, fraction=0.0):
    """A product of ptychodus; patches begin at whole pixels plus `fraction`."""
    rng = np.random.default_rng(5)
    pixel = energy_eV_to_wavelength_m(ENERGY_EV) * DISTANCE_M / (N * DETECTOR_M)
    object_ = Object(
        array=(0.9 + 0.4 * smooth(rng, (71, 96), 6))[np.newaxis],
        pixel_geometry=PixelGeometry(pixel, pixel),
        center=ObjectCenter(x_m=41.3 * pixel, y_m=-17.8 * pixel),
        layer_spacing_m=[],
    )
    geometry = object_.get_geometry()
    points = []
    for index in range(COLUMNS * ROWS):
        row, column = divmod(index, COLUMNS)
        middle = (N - 1) / 2 + fraction
        x, y = 2 + 6 * column + row % 2 + middle, 1 + 5 * row + middle
        points.append(geometry.map_coordinates_object_to_probe(ObjectPosition(index, x, y)))
    metadata = ProductMetadata(
        name="lopsided",
        comments="",
        detector_distance_m=DISTANCE_M,
        photon_energy_eV=ENERGY_EV,
        probe_photon_count=1e5,
        exposure_time_s=0.1,
        mass_attenuation_m2_per_kg=0.0,
        tomography_angle_deg=0.0,
    )
    return Product(
        metadata=metadata,
        probe_positions=ProbePositionSequence(points),
        probes=ProbeSequence(make_probe(N, modes)[np.newaxis], None, PixelGeometry(pixel, pixel)),
        object_=object_,
        losses=[],
    )


def corners(product):
    """First pixel (x, y) of every patch, with its fraction, as ptychodus cuts it."""
    geometry, probe = product.object_.get_geometry(), product.probes.get_geometry()
    out = []
    for position in product.probe_positions:
        place = geometry.map_coordinates_probe_to_object(position)
        bounds = probe.resolve_patch_bounds(place.x_px, place.y_px)
        out.append((bounds.x_slice.start + bounds.dx, bounds.y_slice.start + bounds.dy))
    return np.array(out)


def simulate(product, photons=1e4):
    data = generate_diffraction_data(product)
    data._patterns *= photons / data._patterns.sum(axis=(1, 2)).mean()
    return data


def dataset_of(data):
    """The patterns as the writers of the plugins take them."""
    n, height, width = data.get_patterns_shape()
    metadata = DiffractionMetadata(
        num_patterns_per_array=[n],
        pattern_dtype=data.get_patterns_dtype(),
        detector_extent=ImageExtent(width, height),
        detector_distance_m=DISTANCE_M,
        detector_pixel_geometry=PixelGeometry(DETECTOR_M, DETECTOR_M),
        photon_energy_eV=ENERGY_EV,
    )
    array = SimpleDiffractionArray("a", data.get_indexes(), data.get_patterns())
    layout = DiffractionDatasetLayoutNode.create_root()
    return SimpleDiffractionDataset(metadata, layout, [array], data.get_bad_pixels())


def as_hdf5(folder, product, data):
    save_diffraction_data(folder / "diffraction.h5", data)
    save_product(folder / "product.h5", product)
    return folder


def as_npz(folder, product, data):
    NPZDiffractionFileIO().write(folder / "diffraction.npz", dataset_of(data))
    NPZProductFileIO().write(folder / "product.npz", product)
    return folder


def as_npz_product(folder, product, data):
    save_diffraction_data(folder / "diffraction.h5", data)
    NPZProductFileIO().write(folder / "product.npz", product)
    return folder / "product.npz"


def as_cxi(folder, product, data):
    CXIDiffractionFileWriter().write(folder / "diffraction.cxi", dataset_of(data))
    CXIProductFileIO().write(folder / "product.cxi", product)
    return folder / "diffraction.cxi"


WRITERS = [as_hdf5, as_npz, as_npz_product, as_cxi]


def predicted(scan, **how):
    """Our forward model of a scan, scaled to its mean counts."""
    patches = extract_patches(
        scan.object_guess.astype(np.complex128), scan.positions, scan.N, **how
    )
    rate = intensity(patches, scan.probe.astype(np.complex128))
    return rate * scan.counts().sum() / rate.sum()


def misfit(scan, **how):
    """Relative distance of our prediction from the patterns."""
    counts = scan.counts().astype(np.float64)
    return np.linalg.norm(predicted(scan, **how) - counts) / np.linalg.norm(counts)


@pytest.mark.parametrize("N", [32, 33])
@pytest.mark.parametrize("write", WRITERS)
def test_a_scan_simulated_and_written_by_ptychodus(tmp_path, write, N):
    product = make_product(N)
    data = simulate(product)
    scan = load_scan(write(tmp_path, product, data))
    assert (scan.n, scan.N, scan.domain) == (COLUMNS * ROWS, N, "counts")
    assert np.abs(scan.positions - (corners(product) + N // 2)).max() < 1e-6
    np.testing.assert_allclose(scan.probe, product.probes.get_array()[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(scan.object_guess, product.object_.get_layer(0), rtol=1e-6)
    np.testing.assert_array_equal(scan.diffraction, data.get_patterns())
    assert scan.pixel_size_m == pytest.approx(product.object_.get_geometry().pixel_width_m)
    assert scan.photon_energy_ev == pytest.approx(ENERGY_EV)
    assert scan.detector_distance_m == pytest.approx(DISTANCE_M)
    known = DETECTOR_M if write is not as_npz else None  # their NPZ patterns do not say it
    assert scan.detector_pixel_size_m == (known and pytest.approx(known))
    # Their patterns from our forward model: orientation, order, sign and half pixel at once. What
    # is left is the curvature of the wave over the patch, which ptychodus keeps.
    assert misfit(scan) < 3e-4


def test_any_other_reading_fails(tmp_path):
    product = make_product()
    scan = load_scan(as_hdf5(tmp_path, product, simulate(product)))
    right = misfit(scan)
    pad = 40  # room for positions that lead out of the object
    scan = attrs.evolve(
        scan,
        object_guess=np.pad(scan.object_guess, pad, constant_values=1),
        xcoords=scan.xcoords + pad,
        ycoords=scan.ycoords + pad,
    )
    assert misfit(scan) == pytest.approx(right)
    x, y = scan.xcoords, scan.ycoords
    wrong = {
        "half a pixel in x": {"xcoords": x - 0.5},
        "half a pixel in y": {"ycoords": y + 0.5},
        "a pixel": {"xcoords": x + 1},
        "sign of x": {"xcoords": x.max() + x.min() - x},
        "sign of y": {"ycoords": y.max() + y.min() - y},
        "order of axes": {"xcoords": y, "ycoords": x},
        "transposed object": {"object_guess": scan.object_guess.T},
        "flipped object": {"object_guess": scan.object_guess[::-1]},
        "transposed probe": {"probe": scan.probe.swapaxes(1, 2)},
        "transposed patterns": {"diffraction": np.asarray(scan.diffraction).swapaxes(1, 2)},
        "flipped patterns": {"diffraction": np.asarray(scan.diffraction)[:, ::-1]},
        "conjugate": {"object_guess": scan.object_guess.conj()},
    }
    for name, changes in wrong.items():
        assert misfit(attrs.evolve(scan, **changes)) > 10 * right, name


@pytest.mark.parametrize("write", [as_hdf5, as_cxi])
def test_positions_between_pixels(tmp_path, write):
    product = make_product(fraction=0.3)
    scan = load_scan(write(tmp_path, product, simulate(product)))
    assert np.abs(scan.positions - (corners(product) + 16)).max() < 1e-6
    right = misfit(scan, interpolation="fourier")
    assert right < 3e-3
    for shift in (-0.3, 0.3, -0.6):  # rounding, or the fraction with the wrong sign
        moved = attrs.evolve(scan, xcoords=scan.xcoords + shift, ycoords=scan.ycoords + shift)
        assert misfit(moved, interpolation="fourier") > 3 * right


def test_the_training_file_ptychodus_writes_for_us_is_off_by_their_half_pixel(tmp_path):
    """It holds their pixel coordinates under our names: known, and what the client adapter sees."""
    product = make_product()
    parameters = prepare_reconstruct_input(simulate(product), product)
    save_ptychopinn_training_data(tmp_path / "train.npz", parameters)
    scan = load_scan(tmp_path / "train.npz", domain="counts")
    np.testing.assert_allclose(scan.positions + 0.5, corners(product) + 16, atol=1e-6)


def test_numbers_pair_patterns_and_positions_as_in_ptychodus(tmp_path):
    product = make_product()
    data = simulate(product)
    rng = np.random.default_rng(1)
    # Patterns out of order, two places empty, one far beyond; positions out of order, one twice,
    # some missing.
    data._indexes = rng.permutation(data._indexes)
    data._indexes[[3, 20]] = -1
    data._indexes[7] = 500
    order = rng.permutation(len(product.probe_positions))[5:]
    points = [product.probe_positions[int(i)] for i in order]
    points.append(attrs.evolve(points[0]) if attrs.has(type(points[0])) else points[0])
    product = Product(product.metadata, ProbePositionSequence(points), product.probes,
                      product.object_, [])  # fmt: skip
    path = as_hdf5(tmp_path, product, data)
    with pytest.warns(ScanFormatWarning, match="1 patterns"):  # the one far beyond is left out
        scan = load_scan(path)
    keep = data._indexes >= 0
    data._indexes, data._patterns = data._indexes[keep], data._patterns[keep]
    theirs = prepare_reconstruct_input(data, product)
    np.testing.assert_array_equal(scan.diffraction, theirs.diffraction_patterns)
    geometry = product.object_.get_geometry()
    x = geometry.map_probe_positions_to_object_x_px(theirs.product.probe_positions)
    y = geometry.map_probe_positions_to_object_y_px(theirs.product.probe_positions)
    np.testing.assert_allclose(scan.positions - 0.5, np.stack([x, y], axis=1), atol=1e-6)


def our_scan(N=32, **changes):
    """A scan of ours, with a bad column, as it comes from a detector."""
    rng = np.random.default_rng(3)
    bad = np.zeros((N, N), bool)
    bad[:, 4] = True
    values = {
        "diffraction": rng.poisson(30, (11, N, N)).astype(np.uint16),
        "xcoords": rng.uniform(20, 60, 11),
        "ycoords": rng.uniform(20, 40, 11),
        "probe": make_probe(N, 2),
        "object_guess": (0.8 + smooth(rng, (64, 90), 5)).astype(np.complex64),
        "domain": "counts",
        "bad_pixels": bad,
        "photon_energy_ev": ENERGY_EV,
        "detector_distance_m": DISTANCE_M,
        "detector_pixel_size_m": DETECTOR_M,
        "pixel_size_m": energy_eV_to_wavelength_m(ENERGY_EV) * DISTANCE_M / (N * DETECTOR_M),
    }
    return Scan(**values | changes)


def check_product(product, scan):
    np.testing.assert_array_equal(product.probes.get_array()[0], scan.probe)
    np.testing.assert_array_equal(product.object_.get_layer(0), scan.object_guess)
    np.testing.assert_allclose(corners(product) + scan.N // 2, scan.positions, atol=1e-6)
    np.testing.assert_array_equal(product.probe_positions.get_indexes(), np.arange(scan.n))
    assert product.metadata.photon_energy_eV == pytest.approx(ENERGY_EV)
    assert product.metadata.detector_distance_m == pytest.approx(DISTANCE_M)
    assert product.metadata.probe_photon_count == pytest.approx(scan.mean_photons(), abs=1)
    geometry = product.object_.get_geometry()
    assert geometry.pixel_width_m == geometry.pixel_height_m == pytest.approx(scan.pixel_size_m)


@pytest.mark.parametrize("N", [32, 33])
def test_our_folder_opens_in_ptychodus(tmp_path, N):
    scan = our_scan(N)
    assert format_named("ptychodus").write(tmp_path / "out", scan, False) == []
    data = load_diffraction_data(tmp_path / "out" / "diffraction.h5")
    np.testing.assert_array_equal(data.get_patterns(), scan.diffraction)
    assert data.get_patterns_dtype() == np.uint16
    np.testing.assert_array_equal(data.get_bad_pixels(), scan.bad_pixels)
    np.testing.assert_array_equal(data.get_indexes(), np.arange(scan.n))
    assert data.get_pixel_geometry().width_m == pytest.approx(DETECTOR_M)
    product = load_product(tmp_path / "out" / "product.h5")
    check_product(product, scan)
    parameters = prepare_reconstruct_input(data, product)
    assert len(parameters.diffraction_patterns) == scan.n


@pytest.mark.parametrize("N", [32, 33])
def test_our_cxi_opens_in_ptychodus(tmp_path, N):
    scan = our_scan(N)
    assert format_named("cxi").write(tmp_path / "out.cxi", scan, False) == []
    dataset = CXIDiffractionFileReader().read(tmp_path / "out.cxi")
    np.testing.assert_array_equal(dataset[0].get_patterns(), scan.diffraction)
    np.testing.assert_array_equal(dataset.get_bad_pixels(), scan.bad_pixels)
    metadata = dataset.get_metadata()
    assert metadata.photon_energy_eV == pytest.approx(ENERGY_EV)
    assert metadata.detector_distance_m == pytest.approx(DISTANCE_M)
    assert metadata.detector_pixel_geometry.width_m == pytest.approx(DETECTOR_M)
    check_product(CXIProductFileIO().read(tmp_path / "out.cxi"), scan)


@pytest.mark.parametrize("name", [one.name for one in FORMATS if one.write])
def test_our_forward_model_in_their_simulation(tmp_path, name):
    """A scan of ours at whole pixels, written, opened and simulated by ptychodus: our patterns."""
    scan = our_scan()
    scan = attrs.evolve(scan, xcoords=np.rint(scan.xcoords), ycoords=np.rint(scan.ycoords))
    if name == "npz":  # ours alone: through ptychodus' reader of the LCLS files below
        save_scan(tmp_path / "out", scan)
        assert load_scan(tmp_path / "out").n == scan.n
        return
    format_named(name).write(tmp_path / "out", scan, False)
    product = (load_product(tmp_path / "out" / "product.h5") if name == "ptychodus"
               else CXIProductFileIO().read(tmp_path / "out"))  # fmt: skip
    theirs = generate_diffraction_data(product).get_patterns()
    ours = intensity(
        extract_patches(scan.object_guess.astype(complex), scan.positions, scan.N),
        scan.probe.astype(complex),
    )
    theirs = theirs * (ours.sum() / theirs.sum())
    assert np.linalg.norm(theirs - ours) / np.linalg.norm(ours) < 1e-3


def test_probes_out_of_their_products(tmp_path):
    product = make_product()
    as_hdf5(tmp_path, product, simulate(product))
    as_npz(tmp_path, product, simulate(product))
    for name in ("product.h5", "product.npz"):
        probe = load_probe(tmp_path / name)
        np.testing.assert_allclose(probe, product.probes.get_array()[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("files", [1, 2])
def test_fold_slice_as_ptychodus_reads_it(tmp_path, files):
    rng = np.random.default_rng(0)
    patterns = rng.poisson(9, (15, 32, 32)).astype(np.uint32)
    x, y = rng.uniform(-1e-6, 1e-6, (2, 15))
    pixel = energy_eV_to_wavelength_m(ENERGY_EV) * DISTANCE_M / (32 * 75e-6)
    names = ["scan_dp.hdf5", "scan_para.hdf5"] if files == 2 else ["scan.hdf5"] * 2
    with h5py.File(tmp_path / names[0], "w") as file:
        file.create_dataset("dp", data=patterns, compression="gzip", chunks=(1, 32, 32))
    with h5py.File(tmp_path / names[1], "a") as file:
        file["ppX"], file["ppY"] = x[:, np.newaxis], y[:, np.newaxis]  # MATLAB's columns
        file["lambda"], file["dx"] = energy_eV_to_wavelength_m(ENERGY_EV), pixel
    theirs = FoldSlicePositionFileReader().read(tmp_path / names[1])
    parameters = read_fold_slice_parameters(tmp_path / names[1])
    dataset = H5DiffractionFileReader("/dp").read(tmp_path / names[0])
    for name in dict.fromkeys(names):
        with pytest.warns(UserWarning, match="no probe in the file"):
            scan = load_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.diffraction, dataset[0].get_patterns())
        size = parameters.object_pixel_size_m
        np.testing.assert_allclose(scan.xcoords, theirs.get_coordinates_x_m() / size, rtol=1e-9)
        np.testing.assert_allclose(scan.ycoords, theirs.get_coordinates_y_m() / size, rtol=1e-9)
        assert scan.photon_energy_ev == pytest.approx(ENERGY_EV)
        assert scan.pixel_size_m == size


@pytest.mark.parametrize("metres", [False, True])
def test_lcls_npz_as_ptychodus_reads_it(tmp_path, metres):
    scan = our_scan(32)
    unit = scan.pixel_size_m if metres else 1
    path = tmp_path / "run.npz"
    np.savez(
        path,
        diffraction=np.moveaxis(np.asarray(scan.diffraction), 0, 2),
        probeGuess=scan.probe,
        objectGuess=scan.object_guess,
        xcoords=scan.xcoords * unit,
        ycoords=scan.ycoords * unit,
        xcoords_start=scan.xcoords * unit,
        ycoords_start=scan.ycoords * unit,
        photon_energy_eV=ENERGY_EV,
        detector_distance_m=DISTANCE_M,
        detector_pixel_size_m=DETECTOR_M,
    )
    theirs = SLACProductFileReader().read(path)
    patterns = SLACDiffractionFileReader().read(path)[0].get_patterns()
    read = load_scan(path)
    np.testing.assert_array_equal(read.diffraction, patterns)
    np.testing.assert_array_equal(read.probe, theirs.probes.get_array()[0])
    # Their positions are metres either way, of pixels as the geometry makes them.
    x, y = (
        theirs.probe_positions.get_coordinates_x_m(),
        theirs.probe_positions.get_coordinates_y_m(),
    )
    np.testing.assert_allclose(read.xcoords * scan.pixel_size_m, x, rtol=1e-9)
    np.testing.assert_allclose(read.ycoords * scan.pixel_size_m, y, rtol=1e-9)
    np.testing.assert_allclose(read.positions, scan.positions, rtol=1e-9)
    assert (read.object_guess is None) == metres
