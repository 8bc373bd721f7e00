"""`python -m dpb_slicer`."""

import sys

from dpb_slicer.launcher import main

if __name__ == "__main__":
    sys.exit(main())
