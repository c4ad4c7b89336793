"""``python -m ptycho_cli``."""

import sys

from ptycho_cli.main import main

sys.exit(main())
