"""Settings of all tests."""

import signal

from hypothesis import settings

# How long an example takes is a matter of the machine; what is fast enough is the benchmarks' business.
settings.register_profile("dovebeam", deadline=None)
settings.load_profile("dovebeam")

# Background jobs of a shell, and what nohup starts, ignore some signals, and so would all that tests start and interrupt.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGTERM, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)
