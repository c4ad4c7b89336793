import os
import signal
import threading

import pytest
from ptycho_core.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_a_second_one_interrupts(number):
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with interrupts.watch():
        assert not interrupts.arrived
        os.kill(os.getpid(), number)
        assert interrupts.arrived
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
