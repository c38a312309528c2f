"""`python -m dovebeam.transforms.yaml`: where the provider file is."""

from pathlib import Path

print(Path(__file__).with_name("providers.yaml"))  # noqa: T201
