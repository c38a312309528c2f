"""Where the rejects of a job go: a file, an object of a store, or the account alone."""
