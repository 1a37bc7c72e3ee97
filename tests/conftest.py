"""What all tests share: one thread for matrices."""

import os

# As in the operator's own worker processes. With more, the threads of tests that run side by side
# wait for one another, and a fit takes ten times as long. BLAS reads this when numpy is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
