import os
import signal

import pytest
from ptycho_tf.callbacks import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_the_step(number):
    interrupts = Interrupts()
    with interrupts.signals.watch():
        interrupts.on_train_batch_end(0)
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            interrupts.on_train_batch_end(1)
