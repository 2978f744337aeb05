"""Where a Kafka is and how to prove who one is: ``SEQPLAT_KAFKA_*``, translated for either client from one table."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seqplat_resources.sources.log.errors import LogSettingsInvalid

BOOTSTRAP: Final = "SEQPLAT_KAFKA_BOOTSTRAP"
PROTOCOL: Final = "SEQPLAT_KAFKA_SECURITY_PROTOCOL"
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_PREFIX: Final = BOOTSTRAP.removesuffix("BOOTSTRAP")
_HIDDEN: Final = "***"


@dataclass(frozen=True)
class _Setting:
    """One variable and what the clients call it."""

    variable: str
    librdkafka: str
    kafka_python: str
    secret: bool = False


SETTINGS: Final = (
    _Setting("SEQPLAT_KAFKA_BOOTSTRAP", "bootstrap.servers", "bootstrap_servers"),
    _Setting("SEQPLAT_KAFKA_SECURITY_PROTOCOL", "security.protocol", "security_protocol"),
    _Setting("SEQPLAT_KAFKA_SASL_MECHANISM", "sasl.mechanism", "sasl_mechanism"),
    _Setting("SEQPLAT_KAFKA_SASL_USERNAME", "sasl.username", "sasl_plain_username"),
    _Setting("SEQPLAT_KAFKA_SASL_PASSWORD", "sasl.password", "sasl_plain_password", secret=True),
    _Setting("SEQPLAT_KAFKA_SSL_CA_LOCATION", "ssl.ca.location", "ssl_cafile"),
    _Setting("SEQPLAT_KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location", "ssl_certfile"),
    _Setting("SEQPLAT_KAFKA_SSL_KEY_LOCATION", "ssl.key.location", "ssl_keyfile"),
    _Setting("SEQPLAT_KAFKA_SSL_KEY_PASSWORD", "ssl.key.password", "ssl_password", secret=True),
)


@dataclass(frozen=True)
class KafkaSettings:
    """Address and credentials of one Kafka. Its text, also in logs and tracebacks, shows no value but the address.

    ``values`` maps variables of the table to what they are set to. ``reach_within_s`` bounds every wait for an
    answer.
    """

    bootstrap: str
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    reach_within_s: float = 10.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "KafkaSettings":
        """All ``SEQPLAT_KAFKA_*`` that are not empty.

        Raises:
            LogSettingsInvalid: no bootstrap, an unknown name, or credentials that the protocol would not send.
        """
        values = {name: value for name, value in environment.items() if name.startswith(_PREFIX) and value}
        _refuse_unknown(values)
        if BOOTSTRAP not in values:
            raise LogSettingsInvalid(
                f"{BOOTSTRAP} is not set, in the environment, but Kafka is asked for; set it to host:port[,host:port]"
            )
        protocol = values.get(PROTOCOL, "PLAINTEXT").upper()
        _refuse_unsent(values, protocol)
        return cls(values[BOOTSTRAP], {**values, PROTOCOL: protocol})

    @property
    def where(self) -> str:
        """For error texts."""
        return f"Kafka at {self.bootstrap}"

    def for_librdkafka(self) -> dict[str, Any]:
        """Options of confluent-kafka."""
        return {s.librdkafka: self._values[s.variable] for s in SETTINGS if s.variable in self._values}

    def for_kafka_python(self) -> dict[str, Any]:
        """Options of kafka-python."""
        options: dict[str, Any] = {
            s.kafka_python: self._values[s.variable] for s in SETTINGS if s.variable in self._values
        }
        return {**options, "bootstrap_servers": self.bootstrap.split(",")}

    def redact(self, text: str) -> str:
        """The text without any secret of these settings; clients put what they were given into some errors."""
        for setting in SETTINGS:
            if setting.secret and (value := self.values.get(setting.variable)):
                text = text.replace(value, _HIDDEN)
        return text

    @property
    def _values(self) -> Mapping[str, str]:
        return {**self.values, BOOTSTRAP: self.bootstrap}


def _refuse_unknown(values: Mapping[str, str]) -> None:
    known = [setting.variable for setting in SETTINGS]
    for name in sorted(values.keys() - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise LogSettingsInvalid(f"{name} is not a setting, in the environment; {guess}known are {', '.join(known)}")


def _refuse_unsent(values: Mapping[str, str], protocol: str) -> None:
    """Credentials that go nowhere are a mistake that looks like a refusal of the broker."""
    if protocol not in PROTOCOLS:
        raise LogSettingsInvalid(f"{PROTOCOL} is {protocol!r}, in the environment; use one of {', '.join(PROTOCOLS)}")
    for part, missing_from in (("SASL", "SASL_"), ("SSL", "SSL")):
        used = [name for name in sorted(values) if name.startswith(f"{_PREFIX}{part}_")]
        if used and missing_from not in protocol:
            fitting = [p for p in PROTOCOLS if missing_from in p]
            raise LogSettingsInvalid(
                f"{used[0]} is set but {PROTOCOL} is {protocol}, which ignores it, in the environment; "
                f"set {PROTOCOL} to {' or '.join(fitting)}"
            )
