"""`python -m dovebeam.pipelines.stream`, for runners and schedulers; `dovebeam stream` is the same."""

import sys

from dovebeam.pipelines.stream.command import main

sys.exit(main())
