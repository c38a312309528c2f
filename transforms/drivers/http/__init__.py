"""The parts of the `http-post` driver; `drivers.http_post` describes it and is what others import.

`url` and `outcome` are pure; `handles` and `transfers` load libcurl and are imported where a connection opens.
"""
