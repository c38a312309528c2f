"""Credentials of a job before it starts: those that cannot be had here, those that may not travel, those to be lent."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.drivers.http.secret_url import SecretUrl
from dovebeam.transforms.drivers.secrets import HOW_TO_REFER, Secret, secrets_in
from dovebeam.transforms.drivers.vault import Loan
from dovebeam.transforms.errors import ConfigProblem, DeliveryError, DriverSettingError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

__all__ = ["credential_problems", "lent_to_workers"]

_SHARED: Final = ("http_client_", "ssl_")
_INSTEAD: Final = {
    "http_post_url": (
        "user, password and query of the URL would travel with the job; write the whole URL as "
        f"{HOW_TO_REFER}; or without them, and http_post_auth = basic with http_post_auth_user and "
        "http_post_auth_password, or http_post_query, each by reference; a query that is no secret as "
        "http_post_query = plain:TEXT"
    ),
    "http_client_proxy_url": (
        "user and password of the proxy would travel with the job; write the URL without them, and "
        f"http_client_proxy_username and http_client_proxy_password as {HOW_TO_REFER}"
    ),
}
_REFER: Final = f"the value would travel with the job; write {HOW_TO_REFER} instead, or plain:TEXT if it is no secret"


def credential_problems(config: Config, drivers: Mapping[str, Driver], *, here: bool) -> list[ConfigProblem]:
    """Everything that is wrong with the secrets of a job.

    Args:
        config: where the settings stand.
        drivers: those of the job, by exporter.
        here: whether it runs on this machine. Then references are looked up now, so that a missing variable is found
            before anything is read. Elsewhere a secret that was written out is refused.
    """
    found = []
    for name, driver in drivers.items():
        exporter = config.exporters[name]
        for problem in _missing(driver) if here else _written_out(driver):
            known = problem.setting in exporter.settings
            place = exporter.settings.place(problem.setting) if known else exporter.place
            found.append(place.problem(str(problem.of(name))))
    return found


@contextlib.contextmanager
def lent_to_workers(drivers: Mapping[str, Driver], options: PipelineOptions) -> Iterator[None]:
    """Lends the secrets that were written out to the worker processes that are started meanwhile on this machine."""
    from apache_beam.options.pipeline_options import DirectOptions  # noqa: PLC0415  `dovebeam check` needs no Beam

    from dovebeam.pipelines.options.beam import is_in_process  # noqa: PLC0415

    alone = is_in_process(options) and options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    literals = [s.name for driver in drivers.values() for s in secrets_in(driver) if s.is_literal]
    with Loan([] if alone else literals):
        yield


def _written_out(driver: Driver) -> Iterator[DriverSettingError]:
    for name, setting, secrets in _fields_with_secrets(driver):
        if any(secret.is_literal for secret in secrets):
            yield DriverSettingError(setting, _INSTEAD.get(name, _REFER))


def _missing(driver: Driver) -> Iterator[DriverSettingError]:
    """References to this machine's environment and files that lead to nothing; Secret Manager is asked by workers.

    A URL that is given by reference must be one, too.
    """
    for name, setting, secrets in _fields_with_secrets(driver):
        value = getattr(driver, name)
        whole = [value] if isinstance(value, SecretUrl) and value.whole.is_local else []
        for secret in whole or secrets:
            try:
                if isinstance(secret, SecretUrl) or secret.is_local:
                    secret.reveal(setting)
            except DeliveryError as error:
                yield DriverSettingError(setting, error.message.removeprefix(f"{setting}: "))


def _fields_with_secrets(driver: Driver) -> Iterator[tuple[str, str, list[Secret]]]:
    """Name, full name of the setting, and secrets of each field that has any."""
    for field in dataclasses.fields(driver):  # type: ignore[arg-type]  # every driver is a dataclass
        secrets = list(secrets_in(getattr(driver, field.name)))
        if secrets:
            prefix = "" if field.name.startswith(_SHARED) else "event_exporter_"
            yield field.name, prefix + field.name, secrets
