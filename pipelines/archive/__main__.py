"""`python -m dovebeam.pipelines.archive`, for runners and schedulers; `dovebeam archive` is the same."""

import sys

from dovebeam.pipelines.archive.command import main

sys.exit(main())
