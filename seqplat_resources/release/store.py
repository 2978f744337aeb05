"""Releases in storage, and the channels that point at them.

>>> releases = ReleaseStore(shop.home)
>>> move = releases.move("production", shop.loaded.id, by="ann")
>>> releases.current("production").release == shop.loaded.id
True
>>> releases.load("staging")
Traceback (most recent call last):
    ...
seqplat_resources.release.store.ReleaseNotFound: channel 'staging' is not in ...
"""

import datetime as dt
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.commands import command
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordLog
from seqplat_resources.release.places import ROOT, checked, claim, is_place
from sequence_defs.compiler.release import Release, dump, load, release_id
from sequence_defs.evolution.meaning import Meaning


class ReleaseNotFound(Final):
    """A release id or channel that storage does not have."""


class ReleaseCorrupt(Final):
    """Stored bytes that do not hash to their name, or are not a release."""


class ChannelCorrupt(Final):
    """A record of a channel that is not what was written."""


_RELEASE = re.compile(r"[0-9a-f]{64}")
_MOVE = re.compile(r"channels/(.+)/\d{12}\.json")


@dataclass(frozen=True)
class ChannelMove:
    """One entry of a channel's history; ``number`` counts moves from 1.

    ``place`` is where the channel's data lives below the installation's root, None where the entry does not say:
    those from before each channel had a place of its own.
    """

    number: int
    release: str
    moved_at: dt.datetime
    moved_by: str
    note: str
    place: str | None = None


_MEANINGS = {
    "events": Meaning.of,
    "enrichments": Meaning.of_enrichment,
    "raw": Meaning.of_source,
    "archive": Meaning.of_messages,
}


@dataclass(frozen=True)
class LoadedRelease:
    """A release with its name, so that a runtime can always say what it runs."""

    id: str
    release: Release

    def meaning(self, event_type: str) -> str:
        """What events of a type mean in this release, as text: what is stored keeps it. Worked out once.

        Raises:
            KeyError: the release has no such event type.
        """
        return self.meaning_of(f"events/{event_type}")

    def meaning_of(self, asset: str) -> str:
        """As ``meaning``, of the rows of ``events/<event type>``, ``enrichments/<name>``, ``raw/<source>`` or
        ``archive/<source>``.

        Raises:
            KeyError: the release has no such thing, or its rows have no meaning of their own.
        """
        if asset not in self._meanings:
            layer, name = asset.split("/", 1)
            made = _MEANINGS[layer]
            self._meanings[asset] = made(self.release, name).to_json()
        return self._meanings[asset]

    @cached_property
    def _meanings(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class ReleaseStore:
    """Publish, load, point, for all channels of an installation, whichever part of it ``home`` is.

    Releases are immutable: storing the same one twice is no change.
    """

    home: Home
    clock: Clock = SystemClock()

    def put(self, release: Release) -> str:
        """Store a release under its content hash and return that."""
        data = dump(release)
        name = release_id(data)
        path = f"releases/{name}.json"
        try:
            obstore.put(self._objects, path, data, mode="create")
        except AlreadyExistsError:
            # Immutable and named by content, so what is there is the same, unless it was damaged.
            if bytes(self._objects.get(path).bytes()) != data:
                obstore.put(self._objects, path, data)
        return name

    def get(self, name: str) -> LoadedRelease:
        """Load a release by id or unique prefix of at least 6 characters.

        Raises:
            ReleaseNotFound: no such id, or an ambiguous prefix.
            ReleaseCorrupt: the bytes are not what the name says, or this build cannot read them.
        """
        full = name if len(name) == 64 else self._complete(name)
        try:
            data = bytes(self._objects.get(f"releases/{full}.json").bytes())
        except FileNotFoundError:
            raise self._missing(f"release {name!r}") from None
        if release_id(data) != full:
            raise ReleaseCorrupt(
                f"release {full[:12]} under {self._root.root} does not hash to its name; restore it or publish again"
            )
        try:
            return LoadedRelease(full, load(data))
        except (ValueError, RecursionError) as error:
            raise ReleaseCorrupt(f"release {full[:12]} under {self._root.root} cannot be read: {error}") from error

    def history(self, channel: str) -> list[ChannelMove]:
        """All moves of a channel, newest first."""
        log = self._log(channel)
        return [_move(self._root, log, number) for number in reversed(log.numbers())]

    def current(self, channel: str) -> ChannelMove:
        """Where a channel points.

        Raises:
            ReleaseNotFound: nothing was ever published to it.
        """
        numbers = self._log(channel).numbers()
        if not numbers:
            raise self._missing(f"channel {channel!r}")
        return _move(self._root, self._log(channel), numbers[-1])

    def load(self, channel: str) -> LoadedRelease:
        """The release a channel points at now."""
        return self.get(self.current(channel).release)

    def channels(self) -> list[str]:
        """All that something was ever published to, by name."""
        paths = [item["path"] for item in self._objects.list("channels").collect()]
        return sorted({found[1] for path in paths if (found := _MOVE.fullmatch(path))})

    def sharing(self, channel: str) -> list[str]:
        """The other channels whose data is where that of ``channel`` is: those from before each had its own place.

        One whose records are damaged is left out.
        """
        names, found = self.channels(), list[str]()
        if channel not in names:
            return []
        mine = self.home_of(channel).root
        for name in names:
            with suppress(ChannelCorrupt):
                found += [name] if name != channel and self.home_of(name).root == mine else []
        return found

    def home_of(self, channel: str) -> Home:
        """Where the data of a channel lives.

        Raises:
            ReleaseNotFound: nothing was ever published to it.
        """
        return self._root.part(self._place(self.current(channel), channel))

    def move(self, channel: str, release: str, *, by: str, note: str = "", expected: int | None = None) -> ChannelMove:
        """Point ``channel`` at a stored release by compare-and-set.

        ``expected`` is the move number the caller decided on; None reads it now. Pointing at the release the channel
        is on already changes nothing and returns the existing move.

        Raises:
            RecordConflict: the channel moved meanwhile.
            ReleaseNotFound, ReleaseCorrupt: the release cannot be loaded, so nothing is moved.
        """
        loaded = self.get(release)
        log = self._log(channel)
        numbers = log.numbers()
        at = (numbers[-1] if numbers else 0) if expected is None else expected
        if numbers and at == numbers[-1] and (now := _move(self._root, log, at)).release == loaded.id:
            return now
        place = self._place(_move(self._root, log, numbers[-1]), channel) if numbers else self._claimed(channel)
        said = {"release": loaded.id, "moved_by": by, "note": note, "place": place}
        entry = {**said, "moved_at": self.clock.now().isoformat()}
        log.append(json.dumps(entry, sort_keys=True).encode(), after=at)
        return _move(self._root, log, at + 1)

    def before(self, channel: str) -> ChannelMove:
        """The newest move of a channel to another release than it points at now.

        Raises:
            ReleaseNotFound: the channel never pointed anywhere else.
        """
        moves = self.history(channel)
        earlier = next((m for m in moves if m.release != moves[0].release), None)
        if earlier is None:
            raise ReleaseNotFound(f"channel {channel!r} has no earlier release to roll back to")
        return earlier

    def roll_back(self, channel: str, *, by: str) -> ChannelMove:
        """Move a channel back to the release it pointed at before the current one. Raises as ``before``."""
        earlier, number = self.before(channel), self.current(channel).number
        return self.move(channel, earlier.release, by=by, note=f"roll back to move {earlier.number}", expected=number)

    @property
    def _root(self) -> Home:
        return self.home.installation

    @property
    def _objects(self) -> ObjectStore:
        return self._root.objects

    def _log(self, channel: str) -> RecordLog:
        return RecordLog(self._objects, f"channels/{checked(channel)}")

    def _place(self, newest: ChannelMove, channel: str) -> str:
        """What the newest move says that says anything; all that were made since say it again."""
        if newest.place is not None:
            return newest.place
        said = (move.place for move in self.history(channel))
        return next((place for place in said if place is not None), ROOT)

    def _claimed(self, channel: str) -> str:
        return claim(self._root, channel, [name for name in self.channels() if name != channel])

    def _complete(self, prefix: str) -> str:
        listed = self._objects.list("releases").collect() if len(prefix) >= 6 else []
        names = [item["path"].rsplit("/", 1)[1].removesuffix(".json") for item in listed]
        matching = [name for name in names if name.startswith(prefix)]
        if len(matching) != 1:
            raise self._missing(f"a single release named {prefix!r}")
        return matching[0]

    def _missing(self, what: str) -> ReleaseNotFound:
        return ReleaseNotFound(f"{what} is not in {self._root.root}; run `seqplat publish` or check SEQPLAT_HOME")


def _move(home: Home, log: RecordLog, number: int) -> ChannelMove:
    try:
        entry = json.loads(log.read(number).data)
        release, by, note = (str(entry[key]) for key in ("release", "moved_by", "note"))
        if not _RELEASE.fullmatch(release):
            raise ValueError(f"{release[:80]!r} is no release")
        place = entry.get("place")
        if place is not None and not is_place(place):
            raise ValueError(f"{str(place)[:80]!r} is no place")
        return ChannelMove(number, release, dt.datetime.fromisoformat(entry["moved_at"]), by, note, place)
    except (ValueError, KeyError, TypeError, FileNotFoundError, RecursionError) as error:
        channel = log.prefix.partition("/")[2]
        raise ChannelCorrupt(
            f"{home.uri(log.path(number))} is damaged ({error}), so that move {number} of channel {channel!r} is not "
            f"known; delete the file, then `{command('releases', channel)}` says where the channel is, and "
            "`seqplat publish` moves it on"
        ) from error
