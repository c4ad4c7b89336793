"""Whole workflows under the names that applications call."""

from ptycho_torch._require import require_torch

require_torch()  # before the modules here fail deep in a stack of imports
