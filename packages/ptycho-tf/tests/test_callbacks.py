import os
import signal
import threading

import pytest
from ptycho_tf.callbacks import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_the_step(number):
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with interrupts.watch():
        interrupts.on_train_batch_end(0)
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            interrupts.on_train_batch_end(1)
        with pytest.raises(KeyboardInterrupt):  # who asks twice means now
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_only_the_main_thread_can_watch():
    seen = []
    interrupts = Interrupts()

    def work():
        with interrupts.watch():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
