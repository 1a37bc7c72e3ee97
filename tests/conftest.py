"""What all tests share: one thread for matrices, less work for the collector of garbage, Ctrl-C."""

import gc
import os
import signal

# As in the operator's own worker processes. With more, the threads of tests that run side by side
# wait for one another, and a fit takes ten times as long. BLAS reads this when numpy is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell lets its jobs in the background ignore Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What imports have made stays: to search it for garbage again and again takes a tenth.
gc.disable()


def pytest_collection_finish():
    """Look once, leave what is there alone, and go on with what tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
