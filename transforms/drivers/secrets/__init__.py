"""Secrets of drivers: values that are never shown, where they are kept, and where a worker finds them."""
