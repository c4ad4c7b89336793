# %% [markdown]
# # The switches of the solver
#
# Real beams flicker, stages miss their marks, detectors count what is no light.
# Each of these faults has a switch of the solver. This notebook makes a scan
# with three of them, one after the other and together, and finds out from the
# data alone which switches are needed.
#
# ## A scan, and its faults

# %%
import matplotlib.pyplot as plt
import numpy as np
from attrs import evolve
from ptycho_core import SimulationParts, evaluate, simulate_scan, solve_scan

parts = SimulationParts().completed(
    object_source="random", object_size=144, n_patterns=140, seed=5
)
clean = simulate_scan(parts, photons=1e6, seed=5)
rng = np.random.default_rng(0)


def flickering(scan):
    """Let the beam flicker by 20 % rms: another intensity in each pattern."""
    light = rng.normal(1.0, 0.2, (scan.n, 1, 1)).clip(0.3)
    counts = rng.binomial(scan.diffraction, light / light.max())
    return evolve(scan, diffraction=counts)


def scattered(scan):
    """Add three counts of background to each pixel, with their noise."""
    background = rng.poisson(3.0, scan.diffraction.shape)
    return evolve(scan, diffraction=scan.diffraction + background)


def misplaced(scan):
    """Let the stage miss its marks by a pixel rms; the file does not know."""
    x, y = scan.positions.T + rng.normal(0.0, 1.0, (2, scan.n))
    return evolve(scan, xcoords=x, ycoords=y)


# %% [markdown]
# ## One at a time
#
# Each fault with its switch off and on. The score is the correlation with the
# true object without its mean and without a phase ramp, which moved positions
# leave open.

# %%
cases = {
    "flicker": (flickering(clean), {"refine_light": True}),
    "background": (scattered(clean), {"background": "constant"}),
    "positions": (misplaced(clean), {"refine_positions": True}),
}


def compared(result):
    """Compare the object of a result with the truth, a ramp removed."""
    return evaluate(result.reconstruction, clean, remove_ramp=True).comparison


figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
for column, (name, (scan, switch)) in zip(axes.T, cases.items(), strict=True):
    for axis, label, settings in zip(
        column, ("off", "on"), ({}, switch), strict=True
    ):
        result = solve_scan(scan, epochs=20, progress=False, **settings)
        found = compared(result)
        phase = np.angle(found.aligned)
        axis.imshow(phase - np.median(phase), cmap="gray", vmin=-0.8, vmax=0.8)
        title = f"{name}, {label}: {found.mean_removed_correlation:.4f}"
        axis.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The solver doubts a scan by itself: the messages above the picture say that
# the light differs more between neighbours than photon noise explains.
#
# What was fitted is in the result. The background:

# %%
scan, switch = cases["background"]
result = solve_scan(scan, epochs=20, progress=False, **switch)
found = result.fitted.background.mean()
print(f"background {found:.2f} counts per pixel; 3 were added")

# %% [markdown]
# ## Which ones does a scan need?
#
# Every switch adds freedom, and freedom lowers the R-factor whether it is
# needed or not. So do not judge by the R-factor. `held_out=0.1` sets one
# pattern in ten aside and predicts them; the *deviance* of the prediction is
# about one per pixel if only photon noise is left, and a switch that fits noise
# does not lower it. A scan with all three faults:

# %%
everything = misplaced(scattered(flickering(clean)))
trials = {
    "nothing": {},
    "light": {"refine_light": True},
    "light, background": {"refine_light": True, "background": "constant"},
    "light, background, positions": {
        "refine_light": True,
        "background": "constant",
        "refine_positions": True,
    },
}
results = {
    name: solve_scan(
        everything, epochs=20, held_out=0.1, progress=False, **settings
    )
    for name, settings in trials.items()
}
for name, result in results.items():
    deviance = result.metrics["held_out"]["deviance"]
    score = compared(result).mean_removed_correlation
    print(
        f"{name:29} deviance per pixel {deviance:6.2f}, correlation {score:.4f}"
    )

# %% [markdown]
# The deviance, which any scan has, orders the trials as the correlation does,
# which needs the truth.
#
# ## Let the solver choose
#
# `auto=True` does this by itself: it tries each switch in a short run, and
# keeps those that lower the deviance by more than its error. In the end it
# takes each of them away once more, and drops what another one has made
# needless.

# %%
chosen = solve_scan(everything, epochs=20, auto=True, progress=False)
record = chosen.metrics["auto"]
for trial in record["trials"][1:]:
    print(f"{trial['tried']:28} {'kept' if trial['kept'] else '-'}")
print("switched on:", ", ".join(record["switches"]))
chosen.plot()

# %% [markdown]
# ## From the command line
#
# ```sh
# ptycho reconstruct scan.npz -o chosen --auto
# ptycho reconstruct scan.npz -o known --refine-light --background constant \
#     --refine-positions
# ptycho reconstruct scan.npz -o judged --refine-light --held-out 0.1
# ```
#
# [What the solver can fit](../solver-models.md) has all switches, figures for a
# measured scene, and what cannot be told apart.
