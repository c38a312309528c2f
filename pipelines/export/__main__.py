"""`python -m dovebeam.pipelines.export`, for runners and schedulers; `dovebeam export` is the same."""

import sys

from dovebeam.pipelines.export.command import main

sys.exit(main())
