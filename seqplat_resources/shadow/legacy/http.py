"""Sequences that a legacy service is asked for: in batches, each within a deadline, behind a breaker, remembered."""

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import polars as pl

from seqplat_resources.enrichment.http import HttpClient, ServiceFailed
from seqplat_resources.enrichment.requests import CONCURRENCY, Reply, Requests, secret_header
from seqplat_resources.enrichment.working_set import WorkingSet
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.legacy.contract import LegacyRows
from seqplat_resources.shadow.legacy.fitting import PLACE
from seqplat_resources.shadow.legacy.packed import json_objects
from seqplat_resources.shadow.legacy.sequences import LegacySequenceReader, NoLegacySequence, problem_of
from seqplat_resources.values.no_numbers import with_numbers_as_texts
from sequence_defs.schema import Http

_KEY = ("user_id", "_as_of")
_SAID, _WHY, _EXPIRES = "_said", "_why", "_expires"
_NULL = b"null"
# Reasons why there is no sequence of a user: how the first begins, and the whole of the second.
NOT_ANSWERED, UNKNOWN_USER = "no answer: ", "null: legacy does not know the user"


class _Sequences(msgspec.Struct):
    sequences: list[msgspec.Raw]


_WHOLE = msgspec.json.Decoder(_Sequences)


@dataclass(frozen=True)
class AskedSequences:
    """The sequences that a service of legacy answers with. Not thread-safe; ``close`` it at the end."""

    reader: LegacySequenceReader
    at: Http
    client: HttpClient
    requests: Requests
    cache: WorkingSet

    @classmethod
    def open(cls, runtime: Runtime, sequence: str, environment: Mapping[str, str] = os.environ) -> "AskedSequences":
        """
        Raises:
            NoLegacySequence: it has no service. SecretUnset: the service needs a secret that is not there.
        """
        reader = LegacySequenceReader.of(runtime, sequence)
        if not isinstance(at := reader.legacy.at, Http):
            raise NoLegacySequence(f"legacy of sequence {sequence!r} is in files; nobody is asked for it")
        title = f"legacy of sequence {sequence!r}"
        client = HttpClient(at.url, secret_header(title, at, environment), connections=CONCURRENCY)
        requests = Requests(title, client, runtime.clock, at.deadline_ms)
        return cls(reader, at, client, requests, WorkingSet(_KEY))

    def of(self, users: pl.Series, as_of: dt.datetime) -> LegacyRows:
        """The sequences of some users, distinct and not null, as of an instant; see ``LegacySequenceReader.of_frame``.

        A user of whom nothing usable is said is a problem, with what the service did.
        """
        now = self.reader.runtime.clock.now()
        self.cache.keep(pl.col(_EXPIRES) > now)
        wanted = users.alias("user_id").to_frame().with_columns(pl.lit(as_of).alias("_as_of"))
        known, missing = self.cache.split(wanted)
        fresh = self._asked(missing, as_of)
        if self.at.cache_ttl_s:
            expires = pl.lit(now + dt.timedelta(seconds=self.at.cache_ttl_s)).alias(_EXPIRES)
            self.cache.add(fresh.filter(pl.col(_WHY).is_null()).with_columns(expires))
        answers = fresh if known is None else pl.concat([known.drop(_EXPIRES), fresh])
        return self._sequences(wanted.join(answers, on=_KEY, how="left", maintain_order="left"))

    def close(self) -> None:
        """Give up requests that are under way, and close connections."""
        self.requests.close()

    def _asked(self, users: pl.DataFrame, as_of: dt.datetime) -> pl.DataFrame:
        """Of each user what was said, JSON, or why nothing was."""
        chunks = [chunk["user_id"].to_list() for chunk in users.iter_slices(self.at.batch_size)] if users.height else []
        answers = self.requests.made([partial(self._request, chunk, as_of) for chunk in chunks], patient=True)
        said = [each for answer, chunk in zip(answers, chunks, strict=True) for each in _each(answer, len(chunk))]
        whys = [answer.why or None for answer, chunk in zip(answers, chunks, strict=True) for _ in chunk]
        return users.with_columns(pl.Series(_SAID, said, pl.Binary()), pl.Series(_WHY, whys, pl.String()))

    def _request(self, users: list[object], as_of: dt.datetime, deadline: float) -> list[bytes]:
        """
        Raises:
            ServiceFailed: there is no answer, or one that does not say something of each user.
        """
        asked = {"users": users, "as_of": as_of.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")}
        body = self.client.post(msgspec.json.encode(asked), deadline=deadline)
        try:
            said = _WHOLE.decode(with_numbers_as_texts(body)).sequences
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            why = f"an answer that is no JSON of sequences ({type(error).__name__})"
            raise ServiceFailed(why, passes=False) from None
        if len(said) != len(users):
            raise ServiceFailed(f"{len(said)} sequences for {len(users)} users", passes=False)
        return [bytes(each) for each in said]

    def _sequences(self, answers: pl.DataFrame) -> LegacyRows:
        records, reasons = list[list[bytes]](), list[str | None]()
        for said, why in answers.select(_SAID, _WHY).iter_rows():
            events, reason = _read(said, why)
            records += [] if events is None else [events]
            reasons.append(reason)
        answers = answers.with_columns(
            pl.Series(_WHY, reasons, pl.String()), pl.lit(self.at.url.split("?")[0]).alias(PLACE)
        )
        named = answers.filter(pl.col(_WHY).is_not_null()).select(problem_of(pl.col(_WHY)))
        good = answers.filter(pl.col(_WHY).is_null()).select("user_id", PLACE)
        found = self.reader.of_records(good, records)
        return replace(found, problems=pl.concat([named, found.problems]))


def _each(answer: Reply[list[bytes]], users: int) -> list[bytes] | list[None]:
    return answer.said if answer.said is not None else [None] * users


def _read(said: bytes | None, why: str | None) -> tuple[list[bytes] | None, str | None]:
    """The events of a user, or why there are none to compare."""
    if said is None:
        return None, f"{NOT_ANSWERED}{why}"
    if said == _NULL:
        return None, UNKNOWN_USER
    try:
        return json_objects(said), None
    except (ValueError, RecursionError) as error:
        return None, f"sequence: no array of events: {error}"
