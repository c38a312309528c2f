"""The parts of the `http-post` driver; `drivers.http_post` describes it and is what others import.

`connection` keeps libcurl's `handles` with their `options`, and sends each batch with `transfers`. `attempts` is how
requests end, `oauth2` gets tokens. These load libcurl and are imported where a connection opens; all others are pure.
"""
