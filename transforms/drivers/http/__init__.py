"""The `http-post` driver.

`settings` has the fields, those of `auth` among them, and their checks; every other module may import it, and none
imports `driver`. `requests` cuts a batch into requests and makes their bodies, `backlog` keeps those that are still to
be sent, `endpoint` knows how the target is doing, and `outcome` says what an answer or error means. `credentials` looks
up secrets, and `access` makes headers of them and gets tokens. `transfers` has the connection, which sends each batch
with libcurl's `handles` and their `options`; `attempts` is how its requests end.

`access`, `attempts`, `handles`, `options` and `transfers` load libcurl and are imported when a connection opens.
"""
