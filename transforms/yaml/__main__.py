"""`python -m dovebeam.transforms.yaml`: prints the path of the provider file."""

from pathlib import Path

print(Path(__file__).with_name("providers.yaml"))  # noqa: T201
