# %% [markdown]
# # The universal model, and fine-tuning
#
# Training a network takes minutes to hours, and it then knows one instrument.
# The network `universal` comes with the packages and is trained already, on
# many simulated probes, samples and doses. This notebook uses it as it is,
# judges it, and fine-tunes it to one scan.

# %%
from ptycho_core import (
    SimulationParts,
    evaluate,
    reconstruct,
    simulate_scan,
    train,
)
from ptycho_core.pretrained import find_model

print(find_model("universal"))

# %% [markdown]
# `ptycho bundle show universal` prints its card: what it was trained on, what
# it reaches and where it fails. Read it before you rely on it.
#
# ## Without a training
#
# A scan of lines with a Gaussian beam, 1e5 photons in each pattern:

# %%
parts = SimulationParts().completed(
    object_source="lines",
    object_size=144,
    probe_source="gaussian",
    probe_size=20,
    n_patterns=140,
    seed=11,
)
scan = simulate_scan(parts, photons=1e5, seed=11)
scan.plot()

# %%
first = reconstruct("universal", scan, progress=False)
first.plot()

# %% [markdown]
# The network works in one pass over the patterns. It starts from a few epochs
# of the solver on the whole scan, which tell it the slow variations of the
# phase, and corrects them with what it has learned about samples and noise.
#
# ## Can it be believed?
#
# A network always gives a picture. Whether it explains the patterns, its
# R-factor over that of photon noise tells, without any truth:


# %%
def told(name, result):
    """Print the verdict of a result, and its correlation with the truth."""
    truth = evaluate(
        result.reconstruction, scan
    ).comparison.mean_removed_correlation
    ratio = result.verdict.ratio
    print(f"{name}: {ratio:.2f} times photon noise, correlation {truth:.4f}")


told("universal", first)

# %% [markdown]
# Near one, nothing is left to be explained. Somewhat above, the picture is
# right in the main, and what follows on this page sharpens it. Far above, the
# scan is unlike those that the network was trained on, or something in it is
# wrong. A wrong probe, for instance: here it is given wider than it was.

# %%
wider = SimulationParts().completed(probe_source="gaussian", probe_size=28)
wrong = reconstruct("universal", scan, probe=wider.probe, progress=False)
told("with a wrong probe", wrong)

# %% [markdown]
# ## Fine-tuning
#
# A few epochs on the scan itself, at a low learning rate, fit the network to
# this instrument. The true object is not used: the loss is the likelihood of
# the measured counts. This pays when many scans of the same instrument follow.

# %%
tuned = train(
    scan, start="universal", nepochs=2, logger_backend="none", progress=False
)
tuned.plot()

# %%
second = reconstruct(tuned, scan, progress=False)
told("universal ", first)
told("fine-tuned", second)

# %% [markdown]
# ## Or the solver after it
#
# For a single scan it is often quicker to let the solver finish what the
# network began:

# %%
refined = reconstruct("universal", scan, refine=5, progress=False)
told("network, then solver", refined)
refined.plot()

# %% [markdown]
# ## From the command line
#
# ```sh
# ptycho infer scan.npz -o result
# ptycho infer universal scan.npz -o refined --refine 5
# ptycho train scan.npz -o tuned --from universal --nepochs 2
# ptycho infer tuned scan.npz -o second
# ```
#
# [A model that needs no training](../universal.md) has figures for measured
# scans, and says how other packages bring models of their own. Next: [the
# switches of the solver](solver_switches.py).
