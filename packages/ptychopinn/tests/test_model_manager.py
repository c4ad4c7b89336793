import zipfile

import pytest
from ptycho import model_manager
from ptycho_config import PtychoError
from ptycho_data import check_bundle, load_bundle


@pytest.mark.parametrize("name", ["", "new", "model.zip", "wts.h5.zip"])
def test_a_folder_or_a_file(trained, tmp_path, name):
    model_manager.keep(trained.bundle)
    path = model_manager.save(tmp_path / name)
    where = tmp_path / name
    assert path == (where if name.endswith(".zip") else where / "wts.h5.zip")
    assert check_bundle(path)["backend"] == "pytorch"
    with zipfile.ZipFile(path) as archive:
        assert "manifest.json" in archive.namelist()
    kept, read = trained.bundle, load_bundle(path)
    assert read.config == kept.config
    assert all((read.weights[k] == v).all() for k, v in kept.weights.items())


def test_what_is_there_is_replaced(trained, tmp_path):
    (tmp_path / "wts.h5.zip").write_bytes(b"older")
    model_manager.keep(trained.bundle)
    model_manager.save(str(tmp_path))
    assert load_bundle(tmp_path).backend == "pytorch"


def test_nothing_to_save(tmp_path):
    with pytest.raises(PtychoError, match="no model to save: none was trained in this process"):
        model_manager.save(tmp_path)
    assert not list(tmp_path.iterdir())
