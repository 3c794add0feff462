"""Run the command line: ``python -m tlcourse``."""

import sys

from tlcourse.cli import main

sys.exit(main())
