"""Memory of tensors on the CPU: kept for the next one instead of given back."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters in glibc's ``malloc.h``."""

KEPT_BYTES = 256 * 2**20
"""Free memory that stays with the process."""

LARGEST_REUSED_BYTES = 32 * 2**20
"""Blocks up to this size are reused, the most glibc grants; arrays of whole scans are larger."""


def keep_freed_memory() -> None:
    """Let this process reuse the memory of tensors that are gone.

    A network makes and drops the same few MiB with every layer. glibc gives each such block back to
    the system and asks for it again, page by page, which takes up to a sixth of an inference on a
    CPU. Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, LARGEST_REUSED_BYTES)
        set_option(_TRIM_THRESHOLD, KEPT_BYTES)
