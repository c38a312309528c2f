"""`python -m dovebeam.pipelines.stream`, for runners and schedulers; `dovebeam stream` is the same."""

from dovebeam.pipelines.stream.command import main
from dovebeam.pipelines.terminal.exit_codes import end_process

end_process(main())
