"""dovebeam's transforms for Beam YAML: rows in, rows out, with schemas and `error_handling`.

`python -m dovebeam.transforms.yaml` prints the path of the provider file that a pipeline's `providers` include. Rows of
events have the columns of `EventRow`; transforms that take them are content with some of these, and leave others alone.
"""

from dovebeam.transforms.yaml.events import DovecotEvents
from dovebeam.transforms.yaml.export import ExportEvents
from dovebeam.transforms.yaml.format import FormatEvents
from dovebeam.transforms.yaml.http import WriteToHttp
from dovebeam.transforms.yaml.match import MatchMetric

__all__ = ["DovecotEvents", "ExportEvents", "FormatEvents", "MatchMetric", "WriteToHttp"]
