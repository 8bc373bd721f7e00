"""So that `python -m dpb_geant` runs the demonstration."""

import sys

from dpb_geant.demo import main

sys.exit(main())
