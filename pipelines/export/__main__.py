"""`python -m dovebeam.pipelines.export`, for runners and schedulers; `dovebeam export` is the same."""

from dovebeam.pipelines.export.command import main
from dovebeam.pipelines.terminal.exit_codes import end_process

end_process(main())
