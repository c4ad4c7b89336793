# %% [markdown]
# # A first picture
#
# From diffraction patterns to an image of the sample, with the iterative
# solver. There is nothing to train, and no data is needed: the scan is
# simulated, so that the result can be compared with the truth.
#
# ## A scan
#
# A ptychographic scan has three parts: the *patterns*, one for each position of
# the beam; the *positions*; and the *probe*, which is the wave that meets the
# sample. Here the sample is a Siemens star of 128 x 128 pixels, the probe a
# defocused zone plate, and the positions a Fermat spiral. The detector counts a
# million photons in each pattern, with their noise.

# %%
from ptycho_core import (
    SimulationParts,
    evaluate,
    inspect_scan,
    simulate_scan,
    solve_scan,
)

parts = SimulationParts().completed(
    object_source="siemens", object_size=128, n_patterns=120
)
scan = simulate_scan(parts, photons=1e6)
scan.plot()

# %% [markdown]
# On the left is the mean of some patterns: the shadow of the zone plate, with
# the dark disk of its central stop. It must be centred on the pattern; if that
# of your own data is not, the object comes out tilted or not at all. In the
# middle is the probe at the sample. On the right are the positions, in pixels
# of the object.
#
# What makes the phase problem solvable is *overlap*: each piece of the sample
# is seen by several patterns. As a rule, neighbouring spots of light should
# share 60 % of their diameter or more.

# %%
overlap = inspect_scan(scan).overlap
print(f"beam {overlap.diameter:.0f} pixels wide, steps of {overlap.step:.1f}")
print(f"overlap {overlap.fraction:.0%}, {overlap.neighbours:.0f} neighbours")

# %% [markdown]
# ## The object
#
# The solver starts from a sample that is not there, transmission one
# everywhere, and corrects it pattern by pattern: it computes the wave on the
# detector, gives it the measured modulus, and takes the difference back to the
# sample. One *epoch* is one pass over all patterns.

# %%
result = solve_scan(scan, epochs=10, progress=False)
result.plot()

# %% [markdown]
# Amplitude and phase of the transmission, where there was light. The mean phase
# is removed for the picture, because no pattern depends on it.
#
# ## Is it right?
#
# The curve on the right is the R-factor, the mean relative misfit of the
# modulus. Its value alone says little, because photon noise has a misfit of its
# own. Look at the ratio of the two:

# %%
verdict = result.verdict
print(
    f"R-factor {verdict.r_factor:.4f}, of the noise alone {verdict.noise:.4f}"
)
print(f"ratio {verdict.ratio:.2f}")

# %% [markdown]
# A ratio near one says that the object explains the patterns up to their noise;
# nothing is left to be explained. If it is well above one with your own data,
# something in the model is wrong: the probe (try `update_probe=True`), the
# signs or the order of the positions, the centre, a background. [What the
# solver can fit](../solver-models.md) lists the switches.
#
# Here the truth is known, so the result can be compared with it directly.

# %%
evaluate(result.reconstruction, scan).plot()

# %% [markdown]
# The curve on the right is the Fourier ring correlation: up to which spatial
# frequency result and truth agree. Measured data have no truth;
# `solve_scan(..., half_scan_frc=True)` compares two halves of the patterns
# instead.
#
# ## The same from the command line
#
# ```sh
# ptycho simulate -o scan.npz --object siemens --size 128 --n-patterns 120
# ptycho inspect scan.npz
# ptycho reconstruct scan.npz -o result --epochs 10
# ptycho evaluate result scan.npz
# ```
#
# Next: [your own HDF5 file](your_hdf5_file.py).
