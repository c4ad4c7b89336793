# %% [markdown]
# # Few photons
#
# Dose damages samples, and short exposures make fast scans. How few photons are
# enough, when should the solver stop, and which detail of the result can be
# believed?
#
# ## What noise looks like
#
# The same sample, probe and positions with a hundred thousand, ten thousand, a
# thousand photons in each pattern of 64 x 64 pixels.

# %%
import matplotlib.pyplot as plt
import numpy as np
from ptycho_core import (
    SimulationParts,
    evaluate,
    reconstruct,
    simulate_scan,
    solve_scan,
)

parts = SimulationParts().completed(
    object_source="random", object_size=160, n_patterns=150, seed=3
)
scans = {
    photons: simulate_scan(parts, photons=photons, seed=1)
    for photons in (1e5, 1e4, 1e3)
}

figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for axis, (photons, scan) in zip(axes, scans.items(), strict=True):
    image = axis.imshow(np.log10(1 + scan.diffraction[70]))
    axis.set(
        title=f"{photons:.0e} photons: log10(1 + counts)", xticks=[], yticks=[]
    )
    figure.colorbar(image, ax=axis)
plt.show()

# %% [markdown]
# With a thousand photons most pixels have none, and those in the light a few.
#
# ## When to stop
#
# Each step of the solver moves the object towards the noise of its patterns.
# With few photons the result is the mean of the object over the last epochs, so
# that more epochs do no harm. The R-factor is no guide to whether they help.
# `held_out=0.1` sets one pattern in ten aside, predicts it after every epoch,
# ends when the prediction gets no better, and keeps the epoch that predicts
# best. Nothing about the truth is needed.

# %%
solved = {
    photons: {
        "30 epochs": solve_scan(scan, epochs=30, progress=False),
        "stopped": solve_scan(scan, epochs=30, held_out=0.1, progress=False),
    }
    for photons, scan in scans.items()
}


def score(result):
    """Compare with the truth: one is perfect, a flat object has zero."""
    truth = scans[1e5]
    return evaluate(
        result.reconstruction, truth
    ).comparison.mean_removed_correlation


for photons, found in solved.items():
    epoch = found["stopped"].fitted.held_out.best
    scores = [f"{name} {score(result):.3f}" for name, result in found.items()]
    print(f"{photons:.0e} photons: {', '.join(scores)} (epoch {epoch})")

# %% [markdown]
# With enough photons both runs agree to the third digit. At the lowest dose
# that which stops loses a little: a tenth of the patterns is missing, and the
# slow variations of the phase, which change the patterns least, were still
# being found.
#
# The two misfits of the lowest dose, that of the patterns in use, and the
# deviance of those that were held out:

# %%
stopped = solved[1e3]["stopped"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
epochs = np.arange(1, len(stopped.r_factors) + 1)
axes[0].plot(epochs, stopped.r_factors, "o-")
axes[0].set(xlabel="epoch", title="R-factor of the patterns in use")
axes[1].plot(epochs, stopped.fitted.held_out.deviances, "o-")
axes[1].axvline(stopped.fitted.held_out.best, color="0.6")
axes[1].set(xlabel="epoch", title="Deviance of the held-out patterns")
for axis in axes:
    axis.locator_params(axis="x", integer=True)
plt.show()

# %% [markdown]
# The R-factor even grows: most pixels have no photon or one, and there it is
# smallest for predictions that are too low. The deviance falls to the grey
# line, and stays: further epochs make the prediction neither better nor worse.
# The verdict on the 30 epochs:

# %%
for photons, found in solved.items():
    ratio = found["30 epochs"].verdict.ratio
    print(f"{photons:.0e} photons: {ratio:.2f} times photon noise")

# %% [markdown]
# Below one, some noise has been fitted. Everything that is finer than the noise
# allows is made up then.
#
# ## The network
#
# The network `universal` was trained on scans of few and of many photons; it is
# told the dose, and smooths what cannot be seen.

# %%
networks = {
    photons: reconstruct("universal", scan, progress=False)
    for photons, scan in scans.items()
}

figure, axes = plt.subplots(3, 3, figsize=(9, 9), layout="constrained")
for row, photons in zip(axes, scans, strict=True):
    found = {**solved[photons], "network": networks[photons]}
    for axis, (name, result) in zip(row, found.items(), strict=True):
        phase = np.angle(
            evaluate(result.reconstruction, scans[1e5]).comparison.aligned
        )
        axis.imshow(phase - np.median(phase), cmap="gray", vmin=-0.8, vmax=0.8)
        axis.set(
            title=f"{photons:.0e}, {name}: {score(result):.3f}",
            xticks=[],
            yticks=[],
        )
plt.show()

# %% [markdown]
# ## How sure is each pixel?
#
# `uncertainty=True` repeats the reconstruction with halves of the patterns, and
# with a simulated scan of the result whose error is known, and gives the error
# that about 68 % of the pixels keep below.

# %%
result = solve_scan(scans[1e4], epochs=8, uncertainty=True, progress=False)
rec = result.reconstruction
error = rec.phase_error

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
inside = np.isfinite(error)
shown = np.where(inside, np.angle(rec.object), np.nan)
image = axes[0].imshow(
    shown - np.nanmedian(shown), cmap="gray", vmin=-0.8, vmax=0.8
)
axes[0].set(title="Phase / rad")
figure.colorbar(image, ax=axes[0])
image = axes[1].imshow(error, vmin=0, vmax=np.nanpercentile(error, 95))
axes[1].set(title="Its standard error / rad")
figure.colorbar(image, ax=axes[1])
plt.show()
median = result.metrics["uncertainty"]["phase_median_rad"]
print(f"median error of the phase {median:.2g} rad")

# %% [markdown]
# The error is smallest where many patterns overlap and grows towards the rim;
# beyond it hardly any light fell, and there is nothing to be read. A feature
# that is not several times larger than its error may be noise.
#
# [How sure?](../uncertainty.md) says how well these maps are known, and which
# errors they cannot see. Next: [the universal model](universal_model.py).
