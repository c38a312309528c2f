"""Entry point of the Flex Template for `dovebeam replay`, see docs/templates.md."""

from dovebeam.pipelines.template import main

raise SystemExit(main("replay"))
