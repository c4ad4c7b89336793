"""The calls of a reconstruction, in order, as newer and older versions of ptychodus make them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ptycho.config.config import InferenceConfig, ModelConfig, update_legacy_dict

SHAPE = (90, 102)


@pytest.fixture
def config():
    return InferenceConfig(model=ModelConfig(N=64, gridsize=2))


def newer(config, bundle_dir, arrays):
    import ptycho.loader
    import ptycho.params
    import ptycho.probe
    import ptycho.tf_helper
    from ptycho.raw_data import RawData
    from ptycho.workflows.components import load_inference_bundle

    update_legacy_dict(ptycho.params.cfg, config)
    model, _ = load_inference_bundle(bundle_dir)
    raw = RawData.from_coords_without_pc(**arrays)
    ptycho.probe.set_probe_guess(None, raw.probeGuess)
    grouped = raw.generate_grouped_data(config.model.N, K=7, nsamples=1, gridsize=2)
    data = ptycho.loader.load(lambda: grouped, raw.probeGuess, which=None, create_split=False)
    scale = ptycho.params.get("intensity_scale")
    patches = model.predict([data.X * scale, data.local_offsets])
    return ptycho.tf_helper.reassemble_position(patches, data.global_offsets, M=20)


def older(config, bundle_dir, arrays):
    import ptycho.params
    from ptycho import loader, model
    from ptycho.raw_data import RawData
    from ptycho.workflows.components import load_inference_bundle

    update_legacy_dict(ptycho.params.cfg, config)
    network, _ = load_inference_bundle(bundle_dir)
    arrays = {**arrays, "probeGuess": arrays["probeGuess"][0]}
    raw = RawData.from_coords_without_pc(**arrays)
    ptycho.probe.set_probe_guess(None, raw.probeGuess)  # never imported by name
    grouped = raw.generate_grouped_data(config.model.N, K=7, nsamples=1)
    data = loader.load(lambda: grouped, raw.probeGuess, which=None, create_split=False)
    scale = model.params()["intensity_scale"]
    patches = network.predict([data.X * scale, data.local_offsets])
    return ptycho.tf_helper.reassemble_position(patches, data.global_offsets, M=20)


def test_both_get_the_same_object(config, bundle_folder, arrays, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("older")  # not within the folder that is archived
    one = np.squeeze(newer(config, bundle_folder, arrays))
    # An older version archives the whole folder and unpacks it again.
    archive = shutil.make_archive(str(tmp_path / "kept"), "zip", root_dir=bundle_folder)
    shutil.unpack_archive(archive, tmp_path / "again")
    other = np.squeeze(older(config, tmp_path / "again", arrays))
    assert one.shape == other.shape == SHAPE
    assert one.dtype.kind == "c"
    np.testing.assert_array_equal(one, other)


def test_a_scale_that_is_not_there_is_a_key_error():
    code = """
import json, ptycho.params
try:
    ptycho.params.get('intensity_scale')
except KeyError as error:
    print(json.dumps(str(error)))
"""
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "intensity_scale" in json.loads(done.stdout)
