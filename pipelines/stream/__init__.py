"""The job `stream`: events as they come, from files that grow or from Pub/Sub, until it is told to end."""
