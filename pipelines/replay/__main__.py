"""`python -m dovebeam.pipelines.replay`, for runners and schedulers; `dovebeam replay` is the same."""

import sys

from dovebeam.pipelines.replay.command import main

sys.exit(main())
