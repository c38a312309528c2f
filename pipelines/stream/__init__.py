"""The command `dovebeam stream`: exports events as they arrive, from growing files or Pub/Sub, until stopped."""
