"""The model that is packed: whole, small enough, and described as it is."""

import hashlib
import re

import pytest
from ptycho_core.pretrained import CARD, UNIVERSAL, card, find_model
from ptycho_data import check_bundle, load_bundle
from ptycho_pretrained import UNIVERSAL as FOLDER
from ptycho_pretrained import __version__

FILE = FOLDER / "wts.h5.zip"


@pytest.fixture(scope="module")
def text():
    return (FOLDER / CARD).read_text("utf-8")


def test_the_model_is_found_by_its_name():
    found = find_model(UNIVERSAL)
    assert found.path == FOLDER
    assert str(found) == f"universal (ptycho-pretrained {__version__})"


def test_the_bundle_is_whole_and_small_enough():
    assert check_bundle(FOLDER)["backend"] in ("pytorch", "tensorflow")
    assert FILE.stat().st_size <= 4_000_000


def test_the_hashes_are_those_of_the_file(text):
    file_hash = hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert f"| SHA-256 of the bundle | `{file_hash}` |" in text
    assert f"{file_hash}  wts.h5.zip" in (FOLDER / "SHA256SUMS").read_text("utf-8")
    weights_hash = load_bundle(FOLDER).identity["weights_sha256"]
    assert f"| SHA-256 of the weights | `{weights_hash}` |" in text


def test_the_card_states_the_network_and_what_it_was_trained_on(text):
    bundle = load_bundle(FOLDER)
    model = bundle.training_config.model
    assert model.architecture in ("guided", "unrolled")  # which take any size and probe
    numbers = sum(array.size for array in bundle.weights.values())
    assert f"n_filters_scale {model.n_filters_scale}" in text
    assert f"{numbers} weights" in text
    assert re.search(r"^Trained on: ", text, re.MULTILINE)
    assert card(FOLDER) == text.strip()


def test_no_name_of_a_file_or_folder_travels_with_it():
    bundle = load_bundle(FOLDER)
    assert "/" not in "".join(str(scan["name"]) for scan in bundle.scaling["scans"])
