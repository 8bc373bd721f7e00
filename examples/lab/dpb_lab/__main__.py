"""So that `python -m dpb_lab` runs the demonstration."""

import sys

from dpb_lab.demo import main

sys.exit(main())
