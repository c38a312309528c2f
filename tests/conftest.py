"""Settings of all tests."""

import signal

from hypothesis import settings

# How long an example takes is a matter of the machine; what is fast enough is the benchmarks' business.
settings.register_profile("dovebeam", deadline=None)
settings.load_profile("dovebeam")

# A shell's background jobs ignore it, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
