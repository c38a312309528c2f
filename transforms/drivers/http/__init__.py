"""The parts of the `http-post` driver, `drivers.http_post`.

`settings` are the fields and what can be wrong with them; everything else here imports them, and nothing here imports
the driver. `credentials` are looked up, and `access` is what requests show of them. `transfers` has the connection,
which sends each batch with libcurl's `handles` and their `options`. `attempts` is how requests end, `oauth2` gets
tokens. These load libcurl and are imported where a connection opens; all others are pure.
"""
