"""dovebeam's transforms for Beam YAML: rows in, rows out, with schemas and `error_handling`.

`python -m dovebeam.transforms.yaml` prints the path of the provider file that a pipeline's `providers` include. Rows of
events have the columns of `EventRow`; transforms that take them need only some of these, and leave other columns alone.
"""

from dovebeam.transforms.yaml.events import DovecotEvents, FormatEvents, MatchMetric
from dovebeam.transforms.yaml.export import ExportEvents, WriteToHttp

__all__ = ["DovecotEvents", "ExportEvents", "FormatEvents", "MatchMetric", "WriteToHttp"]
