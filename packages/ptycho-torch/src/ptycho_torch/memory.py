"""Keep freed memory of CPU tensors for reuse instead of returning it to the system."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameter numbers from glibc's ``malloc.h``."""

KEPT_BYTES = 256 * 2**20
"""Amount of free memory that the process keeps."""

LARGEST_REUSED_BYTES = 32 * 2**20
"""Blocks up to this size, the maximum of glibc, are reused; arrays of whole scans are larger."""


def keep_freed_memory() -> None:
    """Let this process reuse the memory of freed tensors.

    A network allocates and frees the same few MiB in every layer. glibc returns each such block to
    the system and requests it again, page by page, which takes up to a sixth of an inference on a
    CPU. Other C libraries are not changed.

    """
    if sys.platform != "linux":
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, LARGEST_REUSED_BYTES)
        set_option(_TRIM_THRESHOLD, KEPT_BYTES)
