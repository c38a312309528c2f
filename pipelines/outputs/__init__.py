"""What a job writes beside its targets, rejects above all, looked at before it starts: nothing precious is lost."""
