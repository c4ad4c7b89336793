import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_config import InvalidValueError, ModelConfig, to_dict
from ptycho_data import (
    Scan,
    load_bundle,
    load_reconstruction,
    save_bundle,
    save_scan,
)
from ptycho_physics import Canvas, defocused_probe, simulate_counts, snake_scan
from ptycho_torch.bundles import bundle_of, model_from
from ptycho_torch.model import PtychoModel
from ptycho_torch.reconstruction import reconstruct


def test_result_is_complete_and_on_the_canvas_of_the_scan(scan, untrained, inference, execution):
    result = reconstruct(untrained(), scan, inference(), execution())
    rec = result.reconstruction
    canvas = Canvas.covering(scan.positions, 64)
    assert rec.object.shape == rec.coverage.shape == canvas.shape
    assert tuple(rec.origin) == canvas.origin
    np.testing.assert_allclose(rec.positions + rec.origin, scan.positions)
    np.testing.assert_array_equal(rec.indices, np.arange(scan.n))
    assert result.backend == "pytorch"
    assert 0 < result.r_factor < 0.5
    assert set(result.timings) == {"prepare", "read", "reconstruct", "score"}
    assert (rec.coverage > 0).mean() > 0.9


@pytest.mark.parametrize("gridsize", [1, 2])
def test_bright_pixel_is_found_again(training, inference, execution, gridsize):
    truth = np.ones((124, 128), dtype=np.complex64)
    truth[61, 66] = 0.1
    positions = snake_scan(truth.shape, 64, number=100, jitter=0.4, seed=1)
    probe = defocused_probe(64)
    counts = simulate_counts(truth, probe, positions, 1e7, seed=5)
    scan = Scan(
        diffraction=counts,
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
    )
    config = training({"gridsize": gridsize})
    bundle = bundle_of(
        PtychoModel(config.model, probe),
        config,
        photons=1e7,
        domain="counts",
        history={},
        overrides_applied={},
    )
    rec = reconstruct(bundle, scan, inference(), execution()).reconstruction
    amplitude = np.where(rec.coverage > 0.2 * rec.coverage.max(), np.abs(rec.object), 1)
    y, x = np.unravel_index(amplitude.argmin(), amplitude.shape)
    assert (x + rec.origin[0], y + rec.origin[1]) == (66, 61)


def test_batch_size_and_padding_do_not_change_the_object(scan, untrained, inference, execution):
    bundle = untrained()
    reference = reconstruct(bundle, scan, inference(), execution()).reconstruction.object
    for changes in (
        {"inference_batch_size": 7},
        {"inference_batch_size": 7, "pad_eval": True},
        {"inference_batch_size": 1000},
    ):
        other = reconstruct(bundle, scan, inference(), execution(**changes)).reconstruction
        np.testing.assert_allclose(other.object, reference, atol=0.03)


def test_joint_stages_take_patterns_that_lie_together(scan, untrained, inference, execution):
    bundle = untrained({"joint_stages": True})
    order = np.random.default_rng(0).permutation(scan.n)
    shuffled = evolve(scan.select(order), object_guess=None)
    fields = {"inference_batch_size": 10}
    plain = reconstruct(bundle, scan, inference(), execution(**fields)).reconstruction
    found = reconstruct(bundle, shuffled, inference(), execution(**fields)).reconstruction
    np.testing.assert_allclose(found.object, plain.object, atol=0.01)
    padded = reconstruct(bundle, scan, inference(), execution(pad_eval=True, **fields))
    np.testing.assert_array_equal(padded.reconstruction.object, plain.object)
    apart = 70.4 * np.arange(4)
    few = evolve(scan.select(range(4)), object_guess=None, xcoords=apart, ycoords=0 * apart)
    one, other = (
        reconstruct(untrained({"joint_stages": joint}), few, inference(), execution())
        for joint in (False, True)
    )  # a patch that overlaps no other one is not touched
    np.testing.assert_allclose(other.reconstruction.object, one.reconstruction.object, atol=2e-3)
    alone = reconstruct(untrained(), scan, inference(), execution(**fields)).reconstruction
    assert np.abs(alone.object - plain.object).max() > 0.05


def test_dose_and_probe_power_do_not_change_the_object(scan, untrained, inference, execution):
    bundle = untrained()
    reference = reconstruct(bundle, scan, inference(), execution()).reconstruction.object
    brighter = evolve(scan, diffraction=9 * scan.diffraction, probe=np.complex64(3) * scan.probe)
    other = reconstruct(bundle, brighter, inference(), execution()).reconstruction.object
    np.testing.assert_allclose(other, reference, atol=0.03)


def test_another_place_gives_the_same_object_elsewhere(scan, untrained, inference, execution):
    bundle = untrained()
    reference = reconstruct(bundle, scan, inference(), execution()).reconstruction
    moved = evolve(scan, xcoords=scan.xcoords - 500, ycoords=scan.ycoords + 12, object_guess=None)
    other = reconstruct(bundle, moved, inference(), execution()).reconstruction
    np.testing.assert_array_equal(other.origin - reference.origin, [-500, 12])
    np.testing.assert_allclose(other.object, reference.object, atol=0.03)


def test_some_groups_of_a_scan(scan, untrained, inference, execution):
    rec = reconstruct(
        untrained({"gridsize": 2}), scan, inference(n_groups=5, subsample_seed=3), execution()
    ).reconstruction
    assert 4 <= len(rec.indices) <= 20
    assert len(np.unique(rec.indices)) == len(rec.indices)


def test_middle_trim_stitches_the_centres_only(scan, untrained, inference, execution):
    rec = reconstruct(untrained(), scan, inference(), execution(middle_trim=20)).reconstruction
    canvas = Canvas.covering(scan.positions, 64)
    assert rec.object.shape == canvas.shape
    assert (rec.coverage[:20] == 0).all()  # 64/2 - 20/2 = 22 pixels of rim
    assert (rec.object[:20] == 1).all()
    assert (rec.coverage[30:-30, 30:-30] > 0).any()


def test_a_bundle_for_another_size_names_both(scan, untrained, inference, execution):
    bundle = untrained({"architecture": "cnn"})
    bundle.config["model"]["N"] = 128
    with pytest.raises(
        ValueError, match="must be 128, the size that the bundle was trained for, got 64"
    ):
        reconstruct(bundle, scan, inference(), execution())


def test_probe_of_the_scan_of_the_bundle_or_a_given_one(scan, untrained, inference, execution):
    other = defocused_probe(64, 20)
    scan_with_other = evolve(scan, probe=other)

    def used(bundle, given=None):
        found = reconstruct(bundle, scan_with_other, inference(), execution(), probe=given)
        probe = found.reconstruction.probe
        return [
            name
            for name, known in {"scan": other, "bundle": scan.probe}.items()
            if np.allclose(probe, known, atol=1e-4)
        ]

    plain = untrained()
    assert used(plain) == ["scan"]
    assert used(untrained(probe_trainable=True)) == ["bundle"]
    assert used(evolve(plain, scaling={**plain.scaling, "probe_given": True})) == ["bundle"]
    assert used(evolve(plain, config={**plain.config, "probe_file": "old.npz"})) == ["bundle"]
    assert used(plain, scan.probe) == ["bundle"]
    with pytest.raises(InvalidValueError) as refused:
        used(plain, scan.probe[:, ::2, ::2])
    assert refused.value.name == "probe"


def test_progress_counts_all_groups(scan, untrained, inference, execution):
    heard = []
    reconstruct(
        untrained(),
        scan,
        inference(),
        execution(inference_batch_size=20),
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(20, 48), (40, 48), (48, 48)]


def test_a_saved_model_reconstructs_like_the_one_in_memory(
    train, scan, training, inference, execution, tmp_path
):
    result = train(scan, training(nepochs=1), execution())
    bundle = load_bundle(result.bundle_path)
    copy = load_bundle(save_bundle(tmp_path / "copy", bundle))
    first = reconstruct(bundle, scan, inference(), execution()).reconstruction.object
    second = reconstruct(copy, scan, inference(), execution()).reconstruction.object
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda b: b.config["model"].update(architecture="resnet"), "architecture"),
        (lambda b: b.weights.pop("log_scale"), "weights of the bundle"),
        (lambda b: b.config["model"].update(n_filters_scale=2), "weights of the bundle"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(untrained, spoil, name):
    bundle = untrained()
    spoil(bundle)
    with pytest.raises(InvalidValueError) as refused:
        model_from(bundle)
    assert refused.value.name == name


def test_config_of_the_bundle_is_the_whole_configuration(untrained, training):
    assert untrained().config == to_dict(training())
    assert untrained().config["model"] == to_dict(
        ModelConfig(architecture="unrolled", n_filters_scale=1)
    )


def test_nominal_positions_are_used_if_training_used_them(scan, untrained, inference, execution):
    shifted = evolve(scan, xcoords_start=scan.xcoords + 7, ycoords_start=scan.ycoords)
    bundle = untrained(positions_provided=False)
    rec = reconstruct(bundle, shifted, inference(), execution()).reconstruction
    np.testing.assert_allclose(rec.positions + rec.origin - scan.positions, [[7, 0]] * scan.n)


def test_a_network_for_any_size_takes_patterns_of_another(untrained, inference, execution):
    truth = np.ones((170, 170), dtype=np.complex64)
    truth[80:90, 75:95] = np.exp(0.6j)
    positions = snake_scan(truth.shape, 128, number=16, seed=1)
    probe = defocused_probe(128)
    larger = Scan(
        diffraction=simulate_counts(truth, probe, positions, 1e6, seed=5),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
    )
    result = reconstruct(untrained(), larger, inference(), execution())
    assert result.reconstruction.probe.shape == (1, 128, 128)
    assert result.r_factor < 0.2


def test_few_patterns_are_remarked_on(scan, untrained, inference, execution, caplog):
    two = scan.select([10, 11])
    reconstruct(untrained(), two, inference(), execution())
    assert "only 2 patterns" in caplog.text


def test_positions_in_another_unit_are_an_error(scan, untrained, inference, execution):
    far = evolve(scan, xcoords=1e6 * scan.xcoords, ycoords=1e6 * scan.ycoords, object_guess=None)
    with pytest.raises(ValueError, match="positions must be pixels of the object grid"):
        reconstruct(untrained(), far, inference(), execution())


def test_loading_processes_bring_the_same_patterns(scan, untrained, inference, execution):
    bundle = untrained()
    alone = reconstruct(bundle, scan, inference(), execution(inference_batch_size=20))
    helped = reconstruct(
        bundle, scan, inference(), execution(inference_batch_size=20, num_workers=1)
    )
    np.testing.assert_array_equal(helped.reconstruction.object, alone.reconstruction.object)
    assert helped.r_factor == alone.r_factor


@pytest.mark.gpu
def test_switches_of_torch_are_left_as_they_were(scan, untrained, inference, execution):
    few = scan.select(np.arange(5))
    for before in (False, True):
        torch.use_deterministic_algorithms(before)
        for value in (True, False):
            settings = execution(deterministic=value, accelerator="cuda")
            reconstruct(untrained(), few, inference(), settings)
            assert torch.are_deterministic_algorithms_enabled() is before
    torch.use_deterministic_algorithms(False)


def test_starting_loads_nothing_that_it_does_not_need(scan, untrained, tmp_path):
    """What takes seconds to import: Lightning, torch's compiler, the tree of neighbours."""
    save_scan(tmp_path / "scan.npz", scan.select(np.arange(4)))
    bundle = save_bundle(tmp_path / "bundle.zip", untrained())
    script = textwrap.dedent("""
        import sys
        from ptycho_config import InferenceConfig, InvalidValueError, PyTorchExecutionConfig
        from ptycho_data import load_bundle, load_scan
        from ptycho_torch.reconstruction import reconstruct

        bundle, scan = sys.argv[1:]
        config = InferenceConfig(backend="pytorch")
        reconstruct(load_bundle(bundle), load_scan(scan), config, PyTorchExecutionConfig())
        heavy = ("lightning", "torch._inductor", "scipy.spatial", "matplotlib", "torchvision")
        print([name for name in heavy if name in sys.modules])
    """)
    command = [sys.executable, "-c", script, bundle, tmp_path / "scan.npz"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    assert done.stdout.strip() == "[]"


def test_two_processes_reconstruct_like_one(scan, untrained, inference, execution, tmp_path):
    script = textwrap.dedent("""
        import sys
        import torch
        from ptycho_config import InferenceConfig, InvalidValueError, PyTorchExecutionConfig
        from ptycho_data import load_bundle, load_scan, save_reconstruction
        from ptycho_torch.reconstruction import reconstruct

        torch.set_num_threads(1)
        bundle, scan, out = sys.argv[1:]
        config = InferenceConfig(backend="pytorch")
        execution = PyTorchExecutionConfig(devices=2, inference_batch_size=7)
        result = reconstruct(load_bundle(bundle), load_scan(scan), config, execution)
        if result.main_process:
            save_reconstruction(out, result.reconstruction)
            print(result.r_factor)
    """)
    program = tmp_path / "program.py"
    program.write_text(script)  # Lightning starts the second process from the file
    bundle, out = save_bundle(tmp_path / "bundle.zip", untrained()), tmp_path / "two.npz"
    save_scan(tmp_path / "scan.npz", scan)
    command = [sys.executable, program, bundle, tmp_path / "scan.npz", out]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)  # noqa: S603 - our own program
    two, r_two = load_reconstruction(out), float(done.stdout.split()[-1])
    result = reconstruct(load_bundle(bundle), scan, inference(), execution(inference_batch_size=7))
    one, r_one = result.reconstruction, result.r_factor
    # The patches of a process are joined among themselves, then those of both as a whole: other
    # patches determine each other's phase than in one process, where all are in one block.
    np.testing.assert_allclose(two.object, one.object, atol=0.05)
    np.testing.assert_allclose(two.coverage, one.coverage, atol=1e-4)
    assert r_two == pytest.approx(r_one, rel=5e-5)
