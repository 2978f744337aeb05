"""What the API is started with."""

import pytest

from serving.settings import SettingInvalid, Settings

GOLDEN = {
    ("SEQPLAT_API_UNDER_WAY", "many"): "SEQPLAT_API_UNDER_WAY is 'many', in the environment; "
    "use a whole number of requests, 1 to 1,024",
    ("SEQPLAT_API_UNDER_WAY", "0"): "SEQPLAT_API_UNDER_WAY is '0', in the environment; "
    "use a whole number of requests, 1 to 1,024",
    ("SEQPLAT_API_DRAIN_S", "nan"): "SEQPLAT_API_DRAIN_S is 'nan', in the environment; "
    "use a number of seconds, 0 to 3,600",
    ("SEQPLAT_API_METRICS", "yes"): "SEQPLAT_API_METRICS is 'yes', in the environment; use one of operator, open",
    ("SEQPLAT_LOGGING", "JSON"): "SEQPLAT_LOGGING is 'JSON', in the environment; use one of auto, json, text",
    ("SEQPLAT_API_QUEU", "4"): "SEQPLAT_API_QUEU is not a setting, in the environment; did you mean SEQPLAT_API_QUEUE?",
    ("SEQPLAT_API_COLOUR", "blue"): "SEQPLAT_API_COLOUR is not a setting, in the environment; "
    "docs/settings.md lists all there are",
}


def test_without_variables_there_are_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings(settings.home)
    assert (settings.channel, settings.metrics_open, settings.logging) == ("dev", False, "auto")


def test_variables_are_read_as_what_they_are() -> None:
    given = {
        "SEQPLAT_CHANNEL": "prod",
        "SEQPLAT_API_QUEUE": "0",
        "SEQPLAT_API_DRAIN_S": "0.5",
        "SEQPLAT_API_METRICS": "open",
        "SEQPLAT_API_PORT": "80",  # the command's own
        "SEQPLAT_API_GRACE_S": "",
    }
    settings = Settings.from_environment(given)
    assert (settings.channel, settings.queue, settings.drain_s) == ("prod", 0, 0.5)
    assert (settings.metrics_open, settings.grace_s) == (True, 10.0)


@pytest.mark.parametrize(("name", "value"), GOLDEN)
def test_what_cannot_be_is_refused_with_what_to_write(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        Settings.from_environment({name: value})
    assert str(caught.value) == GOLDEN[name, value]
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 1),
        ({"SEQPLAT_ONLINE": "/var/online"}, 1),
        ({"SEQPLAT_ONLINE": "redis://localhost/0", "SEQPLAT_API_UNDER_WAY": "7"}, 7),
        ({"SEQPLAT_ONLINE": "redis://localhost/0", "SEQPLAT_API_LONG_UNDER_WAY": "2"}, 2),
    ],
)
def test_long_requests_go_one_at_a_time_unless_they_wait_for_a_network(
    environment: dict[str, str], expected: int
) -> None:
    assert Settings.from_environment(environment).long_at_once == expected
