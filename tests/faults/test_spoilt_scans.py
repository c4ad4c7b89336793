"""Scans that are whole files and spoilt measurements: every command that uses one says so."""

import json

import numpy as np
import pytest
from ptycho_core.exit_codes import BELOW_QUALITY

SEED = 4


def bright(arrays, rng):
    arrays["diffraction"] = arrays["diffraction"].astype(np.int64)
    arrays["diffraction"][rng.integers(120)] *= 1000


def frozen(arrays, rng):
    start = int(rng.integers(1, 100))
    arrays["diffraction"][start : start + 8] = arrays["diffraction"][start - 1]


def noise(arrays, rng):
    patterns = arrays["diffraction"]
    arrays["diffraction"] = rng.poisson(patterns.mean(), patterns.shape).astype(np.uint16)


def late(arrays, _):
    arrays["diffraction"] = np.roll(arrays["diffraction"], 1, axis=0)


def early(arrays, _):
    arrays["diffraction"] = arrays["diffraction"][1:]
    for name in ("xcoords", "ycoords"):
        arrays[name] = arrays[name][:-1]


def probe(arrays, _):
    yy, xx = np.mgrid[:64, :64] - 32
    arrays["probeGuess"] = (np.hypot(xx, yy) < 10).astype(np.complex64)


#: Spoils a scan, and what is said of the scan itself, before anything is reconstructed from it.
#: Where that is None, only a result can tell.
SPOILT = {
    "bright": (bright, "bright-frames"),
    "frozen": (frozen, "frozen-frames"),
    "noise": (noise, "no-structure"),
    "late": (late, None),
    "early": (early, None),
    "probe": (probe, None),
}


@pytest.fixture(scope="module")
def folder(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoilt")
    argv = ["simulate", "-o", "right.npz", "--n-patterns", "120", "--size", "160",
            "--object", "random", "--photons", "1e5", "--seed", SEED]  # fmt: skip
    assert samples.server("none").call(argv, folder).code == 0
    rng = np.random.default_rng(SEED)
    for name, (spoil, _) in SPOILT.items():
        with np.load(folder / "right.npz") as archive:
            arrays = {key: archive[key] for key in archive.files}
        spoil(arrays, rng)
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def model(samples, folder):
    """A network that explains the right scan up to its noise."""
    argv = ["train", "right.npz", "-o", "model", "--nepochs", "12", "--batch-size", "8",
            "--n-filters-scale", "1"]  # fmt: skip
    assert samples.server("pytorch").call(argv, folder, seconds=300).code == 0
    return "model"


def doubts(server, folder, *argv):
    """Codes of the cautions that a run printed and recorded."""
    answer = server.call([*argv, "--overwrite"], folder, seconds=300)
    assert answer.code == 0, answer.err
    out = folder / argv[argv.index("-o") + 1]
    cautions = json.loads((out / "run.json").read_text("utf-8"))["cautions"]
    for caution in cautions:
        assert f"warning: {caution['text'][:20]}" in answer.err or caution["text"] in answer.err
    return {caution["code"] for caution in cautions}


def solved(samples, folder, name):
    server = samples.server("none")
    return doubts(server, folder, "reconstruct", f"{name}.npz", "-o", f"r-{name}", "--epochs", "12")


def test_the_right_scan_is_not_doubted(samples, folder):
    answer = samples.server("none").call(["inspect", "right.npz", "--json"], folder)
    assert json.loads(answer.out)["cautions"] == []
    assert solved(samples, folder, "right") == set()


@pytest.mark.parametrize("name", SPOILT)
def test_inspect_and_reconstruct_tell(name, samples, folder):
    code = SPOILT[name][1]
    if code is not None:
        answer = samples.server("none").call(["inspect", f"{name}.npz", "--json"], folder)
        assert code in {caution["code"] for caution in json.loads(answer.out)["cautions"]}
    found = solved(samples, folder, name)
    assert code in found if code is not None else "poor-fit" in found


@pytest.mark.parametrize("name", ["early", "noise"])
def test_a_bad_fit_can_be_an_error(name, samples, folder):
    argv = ["reconstruct", f"{name}.npz", "-o", f"f-{name}", "--epochs", "12"]
    answer = samples.server("none").call([*argv, "--fail-above", "1.5"], folder)
    assert answer.code == BELOW_QUALITY
    assert "error: " in answer.err


@pytest.mark.slow
def test_the_right_scan_is_not_doubted_by_a_network(samples, folder, model):
    server = samples.server("pytorch")
    assert doubts(server, folder, "infer", model, "right.npz", "-o", "i-right") == set()
    argv = ["right.npz", "-o", "t-right", "--nepochs", "1", "--n-filters-scale", "1"]
    assert doubts(server, folder, "train", *argv) == set()


@pytest.mark.slow
@pytest.mark.parametrize("refine", ["0", "8"])
@pytest.mark.parametrize("name", SPOILT)
def test_infer_tells(name, refine, samples, folder, model):
    code = SPOILT[name][1] or "poor-fit"
    argv = [model, f"{name}.npz", "-o", f"i-{name}", "--refine", refine]
    assert code in doubts(samples.server("pytorch"), folder, "infer", *argv)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILT)
def test_train_tells(name, samples, folder):
    code = SPOILT[name][1] or "poor-start"
    argv = [f"{name}.npz", "-o", f"t-{name}", "--nepochs", "1", "--n-filters-scale", "1"]
    assert code in doubts(samples.server("pytorch"), folder, "train", *argv)
