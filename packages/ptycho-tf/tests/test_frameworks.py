"""TensorFlow and Keras come in by one door, which says what is wrong."""

import subprocess
import sys


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  ours


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
