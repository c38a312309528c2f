"""The parts of the `log` driver, `drivers.log`, and syslog messages over a local socket, UDP, TCP and TLS.

`settings` are its fields and what can be wrong with them; `target` reads where to, `wires` are the ways there,
`connection` sends and sends again; it is loaded where one opens, because it brings the TLS library.
"""
