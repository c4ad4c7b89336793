"""TensorFlow and Keras come in by one door, which says what is missing or wrong."""

import subprocess
import sys

import pytest
from ptycho_config.install import install_command

LATE = ["training", "reconstruction", "bundles", "namespace", "settings", "networks"]


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  ours


@pytest.mark.parametrize("module", LATE)
def test_a_missing_tensorflow_is_named_with_the_pip_command(module):
    code = f"import sys; sys.modules['tensorflow'] = None; import ptycho_tf.{module}"
    error = run(code).stderr.splitlines()[-1]
    assert error.startswith(
        "ptycho_config.errors.MissingPackageError: the TensorFlow backend needs TensorFlow"
    )
    assert install_command("ptycho-tf[cpu]") in error


def test_keras_on_another_framework_is_refused():
    code = (
        "import sys; from types import ModuleType, SimpleNamespace; keras = ModuleType('keras'); "
        "keras.backend = SimpleNamespace(backend=lambda: 'jax'); sys.modules['keras'] = keras; "
        "sys.modules['tensorflow'] = ModuleType('tensorflow'); import ptycho_tf.frameworks"
    )
    error = run(code).stderr.splitlines()[-1]
    assert "found it on jax: set KERAS_BACKEND=tensorflow" in error


def test_the_terminal_stays_clean_and_torch_stays_out():
    code = "import ptycho_tf.training, ptycho_tf.reconstruction, sys; print('torch' in sys.modules)"
    done = run(code)
    assert done.stdout == "False\n"
    assert done.stderr == ""
