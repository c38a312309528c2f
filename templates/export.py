"""Entry point of the Flex Template for `dovebeam export`, see docs/templates.md."""

from dovebeam.pipelines.template import main

raise SystemExit(main("export"))
