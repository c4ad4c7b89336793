import pytest
from ptycho import params
from ptycho._backend import VARIABLE, choose
from ptycho_config import InvalidValueError
from ptycho_core import backends


@pytest.fixture
def installed(monkeypatch):
    """Pretend which frameworks are installed, and that nobody names one."""
    monkeypatch.delenv(VARIABLE)

    def pretend(*names):
        found = {"ptycho_torch", "ptycho_tf", "lightning"} | set(names)
        monkeypatch.setattr(backends, "find_spec", lambda name: name if name in found else None)

    return pretend


def test_tensorflow_is_the_default_where_both_are_there(installed):
    installed("torch", "tensorflow")
    assert choose() == "tensorflow"


def test_a_bundle_is_run_by_what_trained_it(installed):
    installed("torch", "tensorflow")
    assert choose(usual="pytorch") == "pytorch"


@pytest.mark.parametrize(("framework", "name"), [("torch", "pytorch"), ("tensorflow",) * 2])
def test_the_only_one_is_taken(installed, framework, name):
    installed(framework)
    assert choose() == choose(usual="pytorch") == choose(usual="tensorflow") == name


def test_settings_win_over_the_environment_and_that_over_the_rest(installed, monkeypatch):
    installed("torch", "tensorflow")
    monkeypatch.setenv(VARIABLE, "pytorch")
    assert choose() == "pytorch"
    params.cfg["backend"] = "tensorflow"  # where update_legacy_dict leaves it
    assert choose() == "tensorflow"
    assert choose("pytorch") == "pytorch"


def test_what_is_named_must_be_there(installed):
    installed("tensorflow")
    with pytest.raises(RuntimeError, match=r"pytorch is not installed.*--find-links dist"):
        choose("pytorch")
    with pytest.raises(InvalidValueError) as refused:
        choose("jax")
    assert refused.value.name == "backend"


def test_without_any_the_commands_are_told(installed):
    installed()
    with pytest.raises(RuntimeError, match=r'"ptycho-cli\[torch\]", or .*"ptycho-cli\[tf\]"'):
        choose()
