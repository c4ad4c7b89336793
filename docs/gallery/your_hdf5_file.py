# %% [markdown]
# # Your HDF5 file
#
# The file of an instrument has frames of any shape, with the beam somewhere in
# them; the positions are those of motors, in their unit and with their sign;
# and there is no probe. `ptycho prepare` makes a scan of it. This notebook
# writes such a file first, so that it runs anywhere.
#
# ## A file as a beamline writes it
#
# A detector of 100 x 120 pixels with a gap between two modules, the beam off
# its centre, a motor `samx` that runs against the x axis of the frames, both in
# micrometres from an arbitrary zero.

# %%
import subprocess
from pathlib import Path

import h5py
import numpy as np
from IPython.display import Image
from ptycho_core import SimulationParts, simulate_scan, solve_scan
from ptycho_data import load_scan

parts = SimulationParts().completed(
    object_source="random", object_size=128, n_patterns=100
)
simulated = simulate_scan(parts, photons=1e6)

frames = np.zeros((simulated.n, 100, 120), np.uint32)
frames[:, 12:76, 30:94] = (
    simulated.diffraction
)  # the beam is at row 44, column 62
frames[:, :, 80:83] = 2**32 - 1  # the gap, marked by the largest value
pixel_um = 0.0574001  # of the object

with h5py.File("scan_0042.nxs", "w") as file:
    detector = file.create_group("entry/instrument/detector")
    detector["distance"] = 2.0  # metres
    detector["x_pixel_size"] = detector["y_pixel_size"] = 75e-6
    file["entry/instrument/beam/incident_energy"] = 9000.0  # eV
    file["entry/data/data"] = frames
    for name, motor in (
        ("samx", -simulated.xcoords),
        ("samy", simulated.ycoords),
    ):
        file[f"entry/data/{name}"] = motor * pixel_um + 1253.4
        file[f"entry/data/{name}"].attrs["units"] = "um"

# %% [markdown]
# ## One command
#
# Every line that it prints is a decision that you can check, and change by an
# option.

# %%
command = "ptycho prepare scan_0042.nxs -o scan.npz --save-recipe beamline.toml"
done = subprocess.run(command.split(), stdout=subprocess.PIPE, check=True)
print(done.stdout.decode())

# %% [markdown]
# It found the datasets by their places in a NeXus file, and the beam by its
# light. It marked the gap as bad pixels, which no computation uses, and cut a
# square around the beam. The size of a pixel of the object follows from energy,
# distance and detector, so the motors become pixels.
#
# Which way the motors run, no file says reliably. So `prepare` tried the eight
# orientations in short runs and took the one that explains the patterns best.
# Two of them always do equally well: the object and its *twin*, turned by 180
# degrees and with the sign of the phase changed. If you know your instrument,
# say it: `--flip-x`.
#
# At last it looked for a first probe that has the light of the patterns and the
# right curvature.
#
# Always look at the picture that it writes:

# %%
Image("scan.png", width=900)

# %% [markdown]
# The red cross must be on the beam and the frame around the light. The gap is
# grey. The quick reconstruction should be sharp, and its R-factor close to that
# of photon noise.
#
# ## The object
#
# The first probe is only a guess, so it is refined together with the object.

# %%
scan = load_scan("scan.npz")
result = solve_scan(scan, epochs=30, update_probe=True, progress=False)
result.plot()

# %%
print(f"R-factor over photon noise {result.verdict.ratio:.2f}")

# %% [markdown]
# The ratio is close to one: the patterns are explained. Because the scan knows
# the size of its pixels, the picture has a scale.
#
# ## The next scan
#
# The recipe holds what was said and what was decided; each following scan of
# the beamtime takes it.

# %%
print(Path("beamline.toml").read_text())

# %% [markdown]
# ```sh
# ptycho prepare scan_0043.nxs -o next.npz --recipe beamline.toml
# ```
#
# [Your file](../your-file.md) has the other layouts that are recognised, and
# how datasets are named in a file that is not. Next: [few
# patterns](few_patterns.py).
