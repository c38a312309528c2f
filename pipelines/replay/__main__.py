"""`python -m dovebeam.pipelines.replay`, for runners and schedulers; `dovebeam replay` is the same."""

from dovebeam.pipelines.replay.command import main
from dovebeam.pipelines.terminal.exit_codes import end_process

end_process(main())
