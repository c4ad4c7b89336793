"""An experiment as ptychodus simulates it, and how far a result is from what was simulated."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from ptycho_physics import defocused_probe, random_cells
from ptycho_physics.metrics import complex_correlation, find_shift
from ptychodus.api.geometry import PixelGeometry
from ptychodus.api.io import save_diffraction_data, save_product
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
from ptychodus.api.product import Product, ProductMetadata
from ptychodus.api.reconstruct import ReconstructInput
from ptychodus.api.settings import SettingsRegistry
from ptychodus.api.simulate.diffraction import generate_diffraction_data
from ptychodus.model.ptychopinn import PtychoPINNReconstructorLibrary

N, COUNT, SHAPE = 64, 72, (100, 116)
PIXEL_M, ENERGY_EV, DISTANCE_M = 1e-8, 8000.0, 10.0
WAVELENGTH_M = 1.23984198e-6 / ENERGY_EV
CENTER = ObjectCenter(x_m=33.3 * PIXEL_M, y_m=-17.9 * PIXEL_M)
PHOTONS = 2e5
EPOCHS = {1: 6, 2: 3}  # by gridsize: with 2 an epoch has four times the patterns


@attrs.frozen
class Experiment:
    """Product with the true object, its simulated data, and both as a reconstructor has them."""

    product: Product
    data: object
    input: ReconstructInput

    @property
    def truth(self):
        return self.product.object_.get_layer(0)

    def save(self, folder: Path) -> Path:
        """Write the files of ptychodus' batch mode, short of settings and training data."""
        folder.mkdir(parents=True, exist_ok=True)
        save_product(folder / "product.h5", self.product)
        save_diffraction_data(folder / "diffraction.h5", self.data)
        return folder


def _positions(rng):
    """An asymmetric scan: denser to the left, nowhere on whole pixels."""
    height, width = SHAPE
    x = (N - 1) / 2 + (width - N - 1) * rng.uniform(0, 1, COUNT) ** 1.3
    y = (N - 1) / 2 + (height - N - 1) * rng.uniform(0, 1, COUNT)
    return ProbePositionSequence(
        [
            ProbePosition(
                index=i,
                x_m=CENTER.x_m + (x[i] - (width - 1) / 2) * PIXEL_M,
                y_m=CENTER.y_m + (y[i] - (height - 1) / 2) * PIXEL_M,
            )
            for i in range(COUNT)
        ]
    )


@pytest.fixture(scope="session")
def experiment():
    rng = np.random.default_rng(5)
    pixel = PixelGeometry(PIXEL_M, PIXEL_M)
    # ptychodus conserves energy, not the sum over pixels: the detector's are larger.
    gain = WAVELENGTH_M * DISTANCE_M / (N * PIXEL_M**2)
    probe = defocused_probe(N).astype(complex)
    probe *= gain * np.sqrt(PHOTONS / np.sum(np.abs(probe) ** 2))
    product = Product(
        metadata=ProductMetadata("truth", "", DISTANCE_M, ENERGY_EV, PHOTONS, 1.0, 0.0, 0.0),
        probe_positions=_positions(rng),
        probes=ProbeSequence(probe, None, pixel),
        object_=Object(random_cells(SHAPE, radius=(3, 7), seed=7).astype(complex), pixel, CENTER),
        losses=[],
    )
    simulated = generate_diffraction_data(product, rng)
    data = type(simulated)(
        np.arange(COUNT),
        simulated.get_patterns().astype(np.uint16),
        simulated.get_pixel_geometry(),
        simulated.get_bad_pixels(),
    )
    patterns, bad = data.get_patterns(), data.get_bad_pixels()
    return Experiment(product, data, ReconstructInput(patterns, bad, product))


@attrs.frozen
class Quality:
    """How well an object agrees with the truth as it lies: nothing is moved before."""

    correlation: float
    shift: tuple

    @property
    def good(self):
        return self.correlation > 0.9 and max(map(abs, self.shift)) < 0.25


@pytest.fixture(scope="session")
def quality(experiment):
    """Compare with the truth, where the scan has seen it."""
    geometry = experiment.product.object_.get_geometry()
    positions = experiment.product.probe_positions
    x = geometry.map_probe_positions_to_object_x_px(positions)
    y = geometry.map_probe_positions_to_object_y_px(positions)
    box = np.s_[int(y.min()) - 4 : int(y.max()) + 5, int(x.min()) - 4 : int(x.max()) + 5]

    def judge(array) -> Quality:
        assert array.shape == SHAPE
        found, truth = array[box], experiment.truth[box]
        correlation = complex_correlation(found, truth, mean_removed=True)
        return Quality(correlation, find_shift(found, truth, 3))

    return judge


@pytest.fixture(scope="session")
def epochs():
    """Epochs that are enough to tell that everything is in its place, by gridsize."""
    return EPOCHS


@pytest.fixture
def reconstructor():
    """Make ptychodus' own reconstructor, with settings that suit a test."""

    def make(name, gridsize):
        library = PtychoPINNReconstructorLibrary(SettingsRegistry(), False)
        library.model_settings.gridsize.set_value(gridsize)
        library.model_settings.n_filters_scale.set_value(1)
        library.training_settings.nepochs.set_value(EPOCHS[gridsize])
        library.training_settings.batch_size.set_value(4)
        return next(item for item in library if item.name == name)

    return make
