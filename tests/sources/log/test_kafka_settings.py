"""Settings of Kafka: one table for both clients, mistakes named, secrets nowhere."""

import logging
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.sources.log.errors import LogSettingsInvalid, LogUnreachable
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.sources.log.kafka.confluent import ConfluentSource, ConfluentWriter
from seqplat_resources.sources.log.kafka.python import KafkaPythonSource, KafkaPythonWriter
from seqplat_resources.sources.log.kafka.settings import SETTINGS, KafkaSettings
from seqplat_resources.sources.log.opening import log_kind, open_log_source, open_log_writer
from tests.ports import free_ports
from tests.sources.log.conftest import FORGOTTEN

BOOTSTRAP = "SEQPLAT_KAFKA_BOOTSTRAP"
SECRET = "hunter2-hunter2"
SASL = {
    BOOTSTRAP: "a:1,b:2",
    "SEQPLAT_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "SEQPLAT_KAFKA_SASL_MECHANISM": "PLAIN",
    "SEQPLAT_KAFKA_SASL_USERNAME": "ann",
    "SEQPLAT_KAFKA_SASL_PASSWORD": SECRET,
    "SEQPLAT_KAFKA_SSL_CA_LOCATION": "/etc/ca.pem",
    "SEQPLAT_KAFKA_SSL_KEY_PASSWORD": f"{SECRET}!",
}


def test_one_table_serves_both_clients() -> None:
    settings = KafkaSettings.from_environment({**SASL, "OTHER": "x", "SEQPLAT_KAFKA_SSL_KEY_LOCATION": ""})
    assert settings.for_librdkafka() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": SECRET,
        "ssl.ca.location": "/etc/ca.pem",
        "ssl.key.password": f"{SECRET}!",
    }
    assert settings.for_kafka_python() == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "ann",
        "sasl_plain_password": SECRET,
        "ssl_cafile": "/etc/ca.pem",
        "ssl_password": f"{SECRET}!",
    }


def test_unknown_setting_is_refused_with_the_known_ones_and_without_its_value() -> None:
    wrong = "SEQPLAT_KAFKA_SASL_PASWORD"
    with pytest.raises(LogSettingsInvalid) as raised:
        KafkaSettings.from_environment({BOOTSTRAP: "a:1", wrong: SECRET})
    text = str(raised.value)
    assert f"{wrong} is not a setting" in text
    assert "did you mean SEQPLAT_KAFKA_SASL_PASSWORD?" in text
    assert all(setting.variable in text for setting in SETTINGS)
    assert SECRET not in text


def test_credentials_that_would_not_be_sent_are_refused() -> None:
    with pytest.raises(
        LogSettingsInvalid, match=r"SASL_PASSWORD is set but .*PROTOCOL is PLAINTEXT.*SASL_PLAINTEXT or"
    ):
        KafkaSettings.from_environment({BOOTSTRAP: "a:1", "SEQPLAT_KAFKA_SASL_PASSWORD": SECRET})
    with pytest.raises(LogSettingsInvalid, match=r"SSL_CA_LOCATION is set but .*SSL or SASL_SSL"):
        KafkaSettings.from_environment(
            {
                BOOTSTRAP: "a:1",
                "SEQPLAT_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "SEQPLAT_KAFKA_SSL_CA_LOCATION": "/ca",
            }
        )


def test_unknown_protocol_is_refused() -> None:
    with pytest.raises(LogSettingsInvalid, match="'TLS', in the environment; use one of PLAINTEXT, SSL, SASL_PLAIN"):
        KafkaSettings.from_environment({BOOTSTRAP: "a:1", "SEQPLAT_KAFKA_SECURITY_PROTOCOL": "tls"})


def test_kafka_without_an_address_is_refused() -> None:
    with pytest.raises(LogSettingsInvalid, match=f"{BOOTSTRAP} is not set"):
        KafkaSettings.from_environment({})


def test_secrets_are_in_no_text_of_the_settings() -> None:
    settings = KafkaSettings.from_environment(SASL)
    assert SECRET not in repr(settings) + str(settings) + settings.where
    assert settings.redact(f"login of ann with {SECRET} failed") == "login of ann with *** failed"


@pytest.mark.filterwarnings(FORGOTTEN)
@pytest.mark.usefixtures("forgotten_sockets")
@pytest.mark.parametrize("client", [KafkaPythonSource, KafkaPythonWriter, ConfluentSource, ConfluentWriter])
def test_unreachable_broker_is_an_error_in_bounded_time_without_secrets(
    client: type, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    (port,) = free_ports(1)
    environment = {**SASL, BOOTSTRAP: f"127.0.0.1:{port}", "SEQPLAT_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    environment = {name: value for name, value in environment.items() if "_SSL_" not in name}
    settings = KafkaSettings(f"127.0.0.1:{port}", KafkaSettings.from_environment(environment).values, 1.0)
    with pytest.raises(LogUnreachable, match=rf"no answer within 1 s, from Kafka at 127.0.0.1:{port}; start the") as e:
        client(settings).partitions("clicks")
    assert SECRET not in f"{e.value!r} {e.value} {e.value.__cause__!r} {caplog.text} {capfd.readouterr()}"


def test_the_log_is_in_files_unless_a_kafka_is_named(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    source, writer = open_log_source({}, home, group="g"), open_log_writer({}, home)
    assert isinstance(source, FileLogSource)
    assert isinstance(writer, FileLogWriter)
    writer.create_topic("clicks", 1)
    assert (tmp_path / "log" / "clicks" / "topic.json").is_file()
    assert len(source.partitions("clicks")) == 1
    elsewhere = open_log_writer({"SEQPLAT_LOG_DIR": str(tmp_path / "else")}, home)
    elsewhere.create_topic("clicks", 1)
    assert (tmp_path / "else" / "clicks").is_dir()


def test_which_client_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {BOOTSTRAP: "a:1"}
    assert [log_kind(environment) for environment in ({}, named)] == ["file", "confluent"]
    assert log_kind({**named, "SEQPLAT_LOG": "kafka"}) == "kafka"
    assert log_kind({**named, "SEQPLAT_LOG": "file"}) == "file"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert log_kind(named) == "kafka"
    with pytest.raises(LogSettingsInvalid, match=r"confluent-kafka is not installed; install seqplat\[confluent\]"):
        log_kind({"SEQPLAT_LOG": "confluent"})


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(LogSettingsInvalid, match=r"SEQPLAT_LOG is 'pulsar'.*file, kafka, confluent"):
        log_kind({"SEQPLAT_LOG": "pulsar"})


def test_home_that_is_not_local_needs_a_folder_for_the_file_log(tmp_path: Path) -> None:
    home = Home("s3://bucket/home", {})
    with pytest.raises(LogSettingsInvalid, match=r"s3://bucket/home is not local .*set SEQPLAT_LOG_DIR to a folder"):
        open_log_source({}, home)
    open_log_source({"SEQPLAT_LOG_DIR": str(tmp_path)}, home).close()
