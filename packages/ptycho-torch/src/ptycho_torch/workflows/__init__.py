"""Complete workflows under the names that applications call."""

from ptycho_torch._require import require_torch

require_torch()  # before an import deep in these modules fails
