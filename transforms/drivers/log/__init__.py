"""The `log` driver: records in the runner's log, or syslog messages over local sockets, UDP, TCP and TLS."""
