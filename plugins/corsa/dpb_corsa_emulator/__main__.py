"""`python -m dpb_corsa_emulator`."""

import sys

from dpb_corsa_emulator.launcher import main

if __name__ == "__main__":
    sys.exit(main())
