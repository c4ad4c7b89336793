import importlib

import numpy as np
import pytest
from attrs import asdict
from ptycho_physics import testing
from ptycho_physics.testing import _cases as cases

# What these check of the values, a tensor without values does not have.
CHECKED = ("counts_from", "extract", "merge", "normalise")


@pytest.mark.parametrize("name", list(testing.CASES))
class TestParity:
    def test_values_and_gradients(self, any_library_and_precision, name):
        any_library, precision = any_library_and_precision
        found = testing.deviation(name, any_library, precision)
        assert found.value <= testing.TOLERANCE[precision]
        if any_library.name in ("torch", "jax"):
            assert found.gradient <= testing.TOLERANCE[precision]
        else:
            assert found.gradient is None

    @pytest.mark.gpu
    @pytest.mark.parametrize("precision", list(testing.TOLERANCE))
    def test_values_and_gradients_on_a_gpu(self, torch_on_gpu, name, precision):
        found = testing.deviation(name, torch_on_gpu, precision)
        assert max(found.value, found.gradient) <= testing.TOLERANCE[precision]


@pytest.mark.parametrize("name", [name for name in testing.CASES if not name.startswith(CHECKED)])
def test_constants_go_to_the_device_of_the_arrays(name, torch):
    def there(values):
        return torch.from_numpy(np.array(values)).to("meta")  # a device that every machine has

    xp = importlib.import_module("array_api_compat.torch")
    parts = asdict(cases.exact_problem(), recurse=False)
    problem = cases.Problem(**{key: there(values) for key, values in parts.items()})
    field = cases.from_polar(*(there(x) for x in cases.object_of(name)))
    assert testing.CASES[name](field, problem, xp).device.type == "meta"


class Halved:
    """A library that halves everything."""

    def __init__(self, library):
        self.xp, self.call = library.xp, library.call
        self.array, self.gradient = library.array, library.gradient

    def numpy(self, values):
        return np.asarray(values) / 2


def test_a_wrong_library_is_seen(library):
    found = testing.deviation("propagate", Halved(library), "float64")
    assert found.value == pytest.approx(0.5)


def test_another_precision_than_asked_for_is_an_error(library):
    class Doubled(Halved):
        def numpy(self, values):
            return np.asarray(library.numpy(values), dtype=np.complex128)

    with pytest.raises(TypeError, match="propagate must be in float32, got complex128"):
        testing.deviation("propagate", Doubled(library), "float32")
