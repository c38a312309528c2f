"""Secrets of drivers: values that nobody may see, where they are kept, and where a worker finds them."""
