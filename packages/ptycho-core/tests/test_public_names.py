import ptycho_core
import pytest


def test_every_public_name_is_found():
    for name in ptycho_core.__all__:
        assert getattr(ptycho_core, name) is not None
    assert set(ptycho_core._MODULES) == set(ptycho_core.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        ptycho_core.nothing  # noqa: B018
