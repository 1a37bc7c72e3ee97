"""`python -m foretide.profiling.sampler`: prints windows as packed lines; runs inside pods."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
