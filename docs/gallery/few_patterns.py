# %% [markdown]
# # Few patterns
#
# Fewer patterns mean a faster scan and less dose. But the solver needs overlap:
# it knows of the sample only what the patterns say. A trained network has also
# seen what samples look like, and degrades later. This notebook thins one scan
# out and compares the two.
#
# ## One scan, thinned out
#
# Cells of a few pixels, 1e5 photons in each pattern. Of its 260 patterns we
# keep some that are as far apart as possible, and so lie evenly over the
# sample.

# %%
import matplotlib.pyplot as plt
import numpy as np
from ptycho_core import (
    SimulationParts,
    evaluate,
    inspect_scan,
    reconstruct,
    simulate_scan,
    solve_scan,
)

parts = SimulationParts().completed(
    object_source="random", object_size=192, n_patterns=260, seed=7
)
full = simulate_scan(parts, photons=1e5, seed=1)


def thinned(scan, number):
    """Return a scan with few of its patterns, each far from those before."""
    places = scan.positions
    middle = np.linalg.norm(places - places.mean(axis=0), axis=1).argmin()
    chosen, distance = [middle], np.full(scan.n, np.inf)
    while len(chosen) < number:
        step = np.linalg.norm(places - places[chosen[-1]], axis=1)
        distance = np.minimum(distance, step)
        chosen.append(distance.argmax())
    return scan.select(np.sort(chosen))


scans = {number: thinned(full, number) for number in (80, 40, 20)}
for number, scan in scans.items():
    overlap = inspect_scan(scan).overlap
    print(f"{number} patterns, {overlap.step:.0f} pixels apart:", end=" ")
    print(f"overlap {overlap.fraction:.0%}")

# %% [markdown]
# ## Three ways to reconstruct it
#
# - the solver alone, 50 epochs from an empty sample;
# - the network `universal`, which comes with the packages and was never trained
#   on this scan;
# - the network, then five epochs of the solver, which start from its object.
#
# The figure of merit is the correlation with the true object, its mean removed:
# one is perfect, and a flat object has zero.

# %%
ways = {
    "solver": lambda scan: solve_scan(scan, epochs=50, progress=False),
    "network": lambda scan: reconstruct("universal", scan, progress=False),
    "network, then solver": lambda scan: reconstruct(
        "universal", scan, refine=5, progress=False
    ),
}
results = {
    number: {name: way(scan) for name, way in ways.items()}
    for number, scan in scans.items()
}


def score(result):
    """Compare the object of a result with the truth."""
    return evaluate(
        result.reconstruction, full
    ).comparison.mean_removed_correlation


print("patterns  " + "  ".join(ways))
for number, found in results.items():
    scores = (
        f"{score(result):{len(name)}.3f}" for name, result in found.items()
    )
    print(f"{number:8}  " + "  ".join(scores))

# %% [markdown]
# The messages are cautions, which every run gives: the overlap is less than
# usual, and with 20 patterns the scan falls into parts that share no light.
#
# The phase of the object, over the same rectangle:

# %%
figure, axes = plt.subplots(
    len(results), 3, figsize=(9, 9), layout="constrained"
)
for row, (number, found) in zip(axes, results.items(), strict=True):
    for axis, (name, result) in zip(row, found.items(), strict=True):
        phase = np.angle(
            evaluate(result.reconstruction, full).comparison.aligned
        )
        axis.imshow(phase - np.median(phase), cmap="gray", vmin=-0.8, vmax=0.8)
        axis.set(
            title=f"{number}, {name}: {score(result):.3f}", xticks=[], yticks=[]
        )
plt.show()

# %% [markdown]
# With half an overlap all three show the same object; the network followed by
# the solver is closest to the truth. As the overlap goes, the solver loses the
# slow variations first: nothing ties the phases of two spots together that
# share no light. The network fills in what it has learned, and the short run of
# the solver after it sharpens what the patterns do tell. With 20 patterns parts
# of the sample were never lit well; no method can invent them, and more epochs
# of the solver would fit noise, as the rings in the last row show.
#
# A good R-factor is no comfort here. Few patterns are easy to explain, by many
# objects:

# %%
for number, found in results.items():
    ratios = ", ".join(
        f"{name} {result.verdict.ratio:.2f}" for name, result in found.items()
    )
    print(f"{number} patterns, R-factor over photon noise: {ratios}")

# %% [markdown]
# A ratio below one means that the solver has fitted the noise. What protects
# from it are patterns that are set aside, as in [few photons](few_photons.py).
#
# A network that was trained on a dense part of the same sample does better
# still: [Few patterns and unseen instruments](../sparse-scans.md) has the
# commands, and figures for measured data.
