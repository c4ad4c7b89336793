import os
import signal
import threading

import pytest
from ptycho_tf.callbacks import EarlyStopping, Interrupts


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


def test_patience_goes_on_after_a_resume():
    class Model:
        stop_training = False

    def stopping(losses, state=None):
        callback = EarlyStopping("loss", patience=3, mode="min")
        callback.set_model(Model())
        if state is not None:
            callback.restore(state)
        callback.on_train_begin()
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch + 1, {"loss": loss})
        return callback

    half = stopping([1.0, 2.0, 2.0])
    assert not half.model.stop_training
    assert stopping([2.0], half.state()).model.stop_training
    assert not stopping([2.0]).model.stop_training
