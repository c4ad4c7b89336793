import sys

import pytest
from attrs import evolve
from ptycho_config import InvalidValueError, MissingPackageError, ModelConfig
from ptycho_core import networks
from ptycho_core.networks import Networks, NetworkTraits, trust_network


class Plain(NetworkTraits):
    """A network without stages."""


class Staged(NetworkTraits):
    """A network with stages."""

    has_stages = True


FAKE = Networks(backend="fake", own={"plain": Plain, "staged": Staged}, base=NetworkTraits)
SOURCE = """
from ptycho_core.networks import NetworkTraits

class Other(NetworkTraits):
    pass
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Install a package with the networks `good`, `broken`, `absent` and `plain`."""
    (tmp_path / "other_networks.py").write_text(SOURCE)
    info = tmp_path / "other_networks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-networks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ptycho.networks.fake]\n"
        "good = other_networks:Other\n"
        "plain = other_networks:Other\n"
        "broken = other_networks:NetworkTraits.Missing\n"
        "odd = other_networks:__name__\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(networks, "_TRUSTED", set())
    networks._installed.cache_clear()
    yield
    networks._installed.cache_clear()
    sys.modules.pop("other_networks", None)


def find(name):
    return FAKE.find(name)


@pytest.mark.usefixtures("other")
def test_own_networks_come_first_then_those_of_other_packages():
    assert FAKE.names == ["plain", "staged", "broken", "good", "odd"]
    assert evolve(FAKE, backend="another").names == ["plain", "staged"]
    assert find("plain") is Plain
    assert find("good").__name__ == "Other"
    assert find("other_networks:Other") is find("good")


@pytest.mark.usefixtures("other")
def test_a_registered_network_that_does_not_load_names_its_package():
    with pytest.raises(MissingPackageError, match=r"other_networks:NetworkTraits\.Missing"):
        find("broken")
    with pytest.raises(InvalidValueError) as caught:
        find("odd")
    assert caught.value.rule == "a subclass of ptycho_core.networks.NetworkTraits"


@pytest.mark.usefixtures("other")
def test_only_a_class_that_the_user_named_is_imported():
    name = "other_networks:NetworkTraits"
    with pytest.raises(InvalidValueError) as caught:
        find(name)
    assert f"--architecture {name}" in caught.value.advice
    assert "other_networks" not in sys.modules
    trust_network(name)
    assert find(name) is NetworkTraits


@pytest.mark.usefixtures("other")
def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InvalidValueError) as caught:
        find("resnet")
    assert caught.value.rule == "one of plain, staged, broken, good, odd with backend fake"
    trust_network("resnet")  # what every training does
    with pytest.raises(InvalidValueError):
        find("resnet")


def test_stages_of_a_network_without_any_are_refused():
    staged = ModelConfig(architecture="staged", joint_stages=True)
    assert FAKE.of_model(staged) is Staged
    with pytest.raises(InvalidValueError) as caught:
        FAKE.of_model(ModelConfig(architecture="plain", joint_stages=True))
    assert (caught.value.name, caught.value.advice) == ("joint_stages", "use staged")
