import numpy as np
import pytest
from ptycho.probe import get_probe_guess, set_probe_guess
from ptycho_config.errors import InvalidValueError


@pytest.mark.parametrize("shape", [(64, 64), (3, 64, 64)])
def test_the_probe_is_kept(shape):
    assert get_probe_guess() is None
    probe = np.full(shape, 1 + 2j)
    set_probe_guess(None, probe)
    kept = get_probe_guess()
    assert kept.dtype == np.complex64
    assert np.array_equal(kept, probe)


@pytest.mark.parametrize(
    "bad", [np.ones((64, 64)), np.ones((64, 32), complex), np.ones((1, 1, 64, 64), complex)]
)
def test_what_is_no_probe_is_refused(bad):
    with pytest.raises(InvalidValueError) as caught:
        set_probe_guess(None, bad)
    assert caught.value.name == "probe guess"
