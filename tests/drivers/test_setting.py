"""The declaration of a setting: what drivers declare, and what follows from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config import SETTINGS
from dovebeam.transforms.drivers import DRIVERS, Connection, Driver
from dovebeam.transforms.drivers.secrets.secret import Secret
from dovebeam.transforms.drivers.setting import (
    Kind,
    Setting,
    ValueTypeError,
    check_values,
    convert,
    declared,
    setting,
    setting_name,
)
from dovebeam.transforms.errors import DriverSettingError

EXAMPLES = {"file": ("/x/y",), "unix": ("/s",), "http-post": ("https://h/p",)}
TIMES = {Kind.TIME, Kind.TIME_SECS}


def fields_of(name: str) -> list[tuple[dataclasses.Field[Any], Setting | None]]:
    """The fields of a driver, and what they declare."""
    rows = declared(DRIVERS[name])
    return [(each, rows.get(each.name)) for each in dataclasses.fields(DRIVERS[name])]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DRIVERS)
def test_every_field_is_a_setting(name: str) -> None:
    """A field that no setting fills would be one that nobody can set; the format is that of the exporter."""
    assert [each.name for each, row in fields_of(name) if row is None and each.name != "format"] == []


@pytest.mark.parametrize("name", DRIVERS)
def test_names_follow_from_fields(name: str) -> None:
    """A time's field says its unit, others do not; what is not Dovecot's begins with the driver's name."""
    for each, row in fields_of(name):
        if row is not None:
            assert row.name == setting_name(each.name)
            assert each.name.endswith("_msec") is (row.kind in TIMES), each.name
            if not row.name.startswith(("http_client_", "ssl_")):
                assert row.short_name.startswith(f"{name.replace('-', '_')}_"), row.name


@pytest.mark.parametrize("name", DRIVERS)
def test_the_table_has_what_drivers_declare(name: str) -> None:
    """The rows of the configuration are the declarations, with all drivers that have the setting."""
    for row in declared(DRIVERS[name]).values():
        assert name in SETTINGS[row.name].drivers
        assert dataclasses.replace(SETTINGS[row.name], drivers=row.drivers) == row


@pytest.mark.parametrize("name", DRIVERS)
def test_defaults_are_those_of_the_configuration(name: str) -> None:
    """A driver made by hand behaves as one of a configuration that sets nothing but the target."""
    driver = DRIVERS[name](*EXAMPLES.get(name, ()))
    for each, row in fields_of(name):
        if row is not None and not (row.required or row.secret or row.unset is not None):
            assert getattr(driver, each.name) == convert(row, row.default), row.name


@pytest.mark.parametrize("name", DRIVERS)
def test_no_secret_is_shown(name: str) -> None:
    """A field that may hold a secret is not a part of the representation."""
    assert [row.name for each, row in fields_of(name) if row is not None and row.secret and each.repr] == []


@pytest.mark.parametrize("name", DRIVERS)
def test_what_a_driver_needs_is_said(name: str) -> None:
    """An example of a target that a driver needs is a value that it takes."""
    needed = {each.name: row.required for each, row in fields_of(name) if row is not None and row.required}
    assert (name in EXAMPLES) is bool(needed)
    made = DRIVERS[name](**needed)
    assert made.endpoint or name == "drop"


@dataclass(frozen=True, slots=True)
class Toy(Driver):
    """A driver with a setting of each kind of declaration."""

    toy_colour: str = setting(Kind.ENUM, "red", "colour of the toy", ("red", "blue"))
    toy_count: int = setting(Kind.UINT, "3", "how many there are", not_zero=True)
    toy_wait_msec: int | None = setting(Kind.TIME, "2 s", "how long to wait", dovecot=True, not_zero="wait != 0")
    toy_token: str | Secret = setting(Kind.STRING, "", "token of the toy", secret=True)
    toy_even: str = setting(
        Kind.STRING, "", "text of even length", check=lambda text: "cut it" if len(text) % 2 else ""
    )
    toy_hint: str = setting(Kind.STRING, "", "the same, not shown", guarded=True, check=lambda _: "")

    name: ClassVar[str] = "toy"

    @property
    def endpoint(self) -> str:
        return "toy"

    def open(self) -> Connection:
        raise NotImplementedError


def test_a_declaration_is_all_it_takes() -> None:
    """Default, name, owner and secrecy follow from it."""
    toy = Toy(toy_token="env:TOKEN")
    assert (toy.toy_colour, toy.toy_count, toy.toy_wait_msec) == ("red", 3, 2000)
    assert toy.toy_token == Secret.parse("", "env:TOKEN")
    assert "toy_token" not in {*toy.display_items()}
    rows = {row.short_name: row for row in declared(Toy).values()}
    assert list(rows) == ["toy_colour", "toy_count", "toy_wait", "toy_token", "toy_even", "toy_hint"]
    assert [name for name, row in rows.items() if not row.extension] == ["toy_wait"]
    assert [name for name, row in rows.items() if not row.is_public] == ["toy_token", "toy_hint"]
    assert {row.drivers for row in rows.values()} == {("toy",)}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"toy_colour": "green"}, "event_exporter_toy_colour: it is 'green'; write one of: red, blue"),
        ({"toy_count": 0}, "event_exporter_toy_count: it must not be 0; set it to 1 or more"),
        ({"toy_wait_msec": 0}, "event_exporter_toy_wait: it must not be 0; set it to 1 or more"),
        ({"toy_even": "abc"}, "event_exporter_toy_even: it is 'abc'; cut it"),
        ({"toy_token": "env:1"}, "event_exporter_toy_token: after env: stands the name"),
    ],
)
def test_values_are_checked_whoever_makes_the_driver(values: dict[str, Any], said: str) -> None:
    """What a declaration rules out is an error that names the setting."""
    with pytest.raises(DriverSettingError) as caught:
        Toy(**values)
    assert str(caught.value).startswith(said)


def test_settings_that_are_not_used_are_not_checked() -> None:
    """TLS set for all exporters says nothing about one that does not speak it."""

    @dataclass
    class Client:
        ssl_min_protocol: str = setting(Kind.STRING, "new", "a version", ("new",), dovecot=True)

    check_values(Client("old"), ignored="ssl_")
    with pytest.raises(DriverSettingError, match="ssl_min_protocol"):
        check_values(Client("old"))


@pytest.mark.parametrize(
    ("kind", "default"), [(Kind.UINT, "-1"), (Kind.TIME, "5"), (Kind.BOOL, "maybe"), (Kind.SIZE, "x")]
)
def test_a_default_of_another_type_is_refused_at_once(kind: Kind, default: str) -> None:
    """A wrong declaration fails when the module is imported, not when somebody relies on it."""
    with pytest.raises(ValueTypeError):
        setting(kind, default, "a setting with a mistake")


@given(st.from_regex(r"[a-z]{1,8}(_[a-z]{1,8}){0,3}", fullmatch=True), st.sampled_from(["", "http_client_", "ssl_"]))
def test_one_mapping_of_names(name: str, prefix: str) -> None:
    """Dovecot's shared settings keep their names, others get the prefix of exporters; the unit is not part of a name."""
    full = setting_name(f"{prefix}{name}_msec")
    assert full == (f"{prefix}{name}" if prefix else f"event_exporter_{name}")
    assert Setting(full, Kind.TIME, "0", "a time").short_name == f"{prefix}{name}"


def test_conversion_of_texts() -> None:
    """A string is what it is; a name that has choices is one of them."""
    assert convert(SETTINGS["metric_description"], "x") == "x"
    assert convert(SETTINGS["metric_group_by_method_method"], "linear") == "linear"
    with pytest.raises(ValueTypeError, match="foo"):
        convert(SETTINGS["metric_group_by_method_method"], "foo")
