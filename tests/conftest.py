"""Settings of all tests."""

from hypothesis import settings

# How long an example takes is a matter of the machine; what is fast enough is the benchmarks' business.
settings.register_profile("dovebeam", deadline=None)
settings.load_profile("dovebeam")
