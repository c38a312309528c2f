"""`python -m dovebeam.pipelines.archive`, for runners and schedulers; `dovebeam archive` is the same."""

from dovebeam.pipelines.archive.command import main
from dovebeam.pipelines.terminal.exit_codes import end_process

end_process(main())
