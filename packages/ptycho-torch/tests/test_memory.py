"""Memory that is kept for the next tensor."""

import platform
import subprocess
import sys

import pytest

ROUNDS = 20
MIB = (12, 18, 24, 30)
PAGES = ROUNDS * 2 * sum(MIB) * 2**20 // 4096

PROGRAM = f"""
import resource, sys, torch
from ptycho_torch.memory import keep_freed_memory

keep_freed_memory()

def layers(count):
    for _ in range(count):
        tensors = [torch.ones(size, 2**18) for size in {MIB + MIB}]
        del tensors

layers(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
layers({ROUNDS})
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_tensors_reuse_the_memory_of_those_before():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own interpreter, a constant program
    assert int(done.stdout) < PAGES / 10
