"""A simulated systemd service as Host sFlow's mod_systemd reports it.

Where a unit has lost its processes the agent still sends it until it next reads the list of
units: CPU as its new control group says, no memory, and byte counters that have wrapped below
zero. These "poison" samples are part of the simulation.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ..datagram import COUNTERS_EXPANDED, encode_record
from ..xdr import U32_MAX, U64_MAX
from .ledger import NOTHING, Account, Work
from .load import Load
from .records import STRUCTURES, counter_record

LOGICAL_ENTITY = 3
RUNNING = 1
_HEAD = ("tag", "length", "sequence", "ds_class", "ds_index", "records")
_RECORDS = tuple(STRUCTURES[name] for name in ("virt_disk_io", "virt_memory", "virt_cpu"))
_PACKER = struct.Struct(
    f"!{len(_HEAD)}I" + "".join("II" + "".join(xdr.code for _, xdr in one.members) for one in _RECORDS)
)


def _layout() -> tuple[list[int], dict[str, int]]:
    """A sample's words with tags and lengths in place, and where each field stands among them."""
    row = [COUNTERS_EXPANDED, 0, 0, LOGICAL_ENTITY, 0, len(_RECORDS) + 2]
    places = {name: index for index, name in enumerate(_HEAD)}
    for one in _RECORDS:
        row += [one.tag, sum(xdr.size for _, xdr in one.members)]
        for name, _ in one.members:
            places[name] = len(row)
            row.append(0)
    return row, places


_ROW, _PLACES = _layout()
_LENGTH, _SEQUENCE, _INDEX = (_PLACES[name] for name in ("length", "sequence", "ds_index"))
_STATE, _CPU, _MEMORY, _LIMIT = (_PLACES[name] for name in ("state", "cpuTime", "memory", "maxMemory"))
_READ, _WRITTEN = _PLACES["rd_bytes"], _PLACES["wr_bytes"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a service does at level 1 of its load: CPU in ms and bytes per second, memory in bytes."""

    cpu_ms: float
    read_bytes: float
    written_bytes: float
    memory: float


@dataclass(slots=True, eq=False)
class Service:
    """One service on one host. All times are seconds since the fleet's start."""

    name: str
    uuid: str
    ds_index: int
    profile: Profile
    load: Load
    account: Account
    memory_limit: int
    os_release: str
    slot: int
    """The agent's tick within the interval in which this service is polled."""
    started: float = 0.0
    running: bool = True
    ended: Work = NOTHING
    """The work of earlier starts since the host booted."""
    _offset: float = 0.0
    _sequence: int = 0
    _poison: int = 0
    _settled: Work | None = None
    """How much of this start's work stands in the account as done; None before the first sample ever."""
    _known_cpu: int | None = None
    _disk_base: Work | None = None
    _known_disk: Work | None = None
    _last_bytes: tuple[int, int] = (1, 1)
    _row: list[int] = field(default_factory=list)
    _tail: bytes = b""

    def __post_init__(self) -> None:
        descr = {"hostname": self.name, "uuid": self.uuid, "machine_type": 3, "os_name": 2}
        self._tail = encode_record(counter_record("host_parent", {"dsClass": 2, "dsIndex": 1}))
        self._tail += encode_record(counter_record("host_descr", descr | {"os_release": self.os_release}))
        self._row = list(_ROW)
        self._row[_LENGTH] = _PACKER.size - 8 + len(self._tail)
        self._row[_INDEX] = self.ds_index
        self._row[_STATE] = RUNNING
        self._row[_LIMIT] = self.memory_limit
        self._offset = self.load.total(self.started)

    def work(self, at: float) -> Work:
        """The work since the service was last started."""
        if not self.running:
            return NOTHING
        amount, profile = self.load.total(at) - self._offset, self.profile
        return Work(int(amount * profile.cpu_ms), int(amount * profile.read_bytes), int(amount * profile.written_bytes))

    def memory(self, at: float) -> int:
        """Memory in bytes: half of it steady, half of it following the load."""
        return int(self.profile.memory * (0.5 + 0.5 * self.load.level(at))) if self.running else 0

    # --- what happens to it

    def start(self, at: float) -> None:
        """Started: counters from 0; a new data source unless the agent has not yet missed it."""
        if self.running:
            return
        self.running, self.started, self._offset = True, at, self.load.total(at)
        self._settled = NOTHING
        if self._poison:
            self._poison = 1
        else:
            self._forget_source()

    def stop(self, at: float, poison: int) -> None:
        """Stopped: `poison` more samples, then silence."""
        self._end(at)
        self._poison = poison if self._sequence else 0

    def restart(self, at: float) -> None:
        """Restarted between two polls: one poison sample, the sequence goes on."""
        self.stop(at, 1)
        self.start(at)

    def agent_restarted(self) -> None:
        """The agent starts to count this source anew; CPU goes on, as it is the control group's."""
        self._poison = 0
        self._forget_source()

    def host_left(self, at: float) -> None:
        """The host is gone, and the service with it."""
        self._end(at)
        self._poison = 0

    def host_booted(self, at: float) -> None:
        """The host is back, with everything from 0."""
        self.ended = NOTHING
        self.start(at)

    def _end(self, at: float) -> None:
        if not self.running:
            return
        work = self.work(at)
        if self._settled is not None:
            self.account.done = self.account.done.plus(work.minus(self._settled))
            self.account.breaks += 1
        self.ended = self.ended.plus(work)
        self.running = False
        self._known_cpu = self._known_disk = self._disk_base = None

    def _forget_source(self) -> None:
        self._sequence = 0
        self._known_cpu = self._known_disk = self._disk_base = None

    # --- what the agent says of it

    def sample(self, at: float) -> bytes | None:
        """The encoded counters sample of this moment; None where the agent does not know the service."""
        if not self.running and not self._poison:
            return None
        self._sequence += 1
        row = self._row
        row[_SEQUENCE] = self._sequence
        work = self.work(at)
        row[_CPU] = work.cpu_ms & U32_MAX
        if self._poison:
            self._poison -= 1
            row[_MEMORY] = 0
            row[_READ], row[_WRITTEN] = (U64_MAX + 1 - max(last, 1) for last in self._last_bytes)
            disk = None
        else:
            if self._disk_base is None:
                self._disk_base = work
            disk = work
            row[_MEMORY] = self.memory(at)
            row[_READ] = work.read_bytes - self._disk_base.read_bytes
            row[_WRITTEN] = work.written_bytes - self._disk_base.written_bytes
            self._last_bytes = row[_READ], row[_WRITTEN]
        if self.running:
            self._settle(work, disk)
        return _PACKER.pack(*row) + self._tail

    def _settle(self, work: Work, disk: Work | None) -> None:
        account = self.account
        if self._settled is not None:
            account.done = account.done.plus(work.minus(self._settled))
            account.breaks += self._known_cpu is None
        self._settled = work
        cpu = 0 if self._known_cpu is None else work.cpu_ms - self._known_cpu
        self._known_cpu = work.cpu_ms
        read = written = 0
        if disk is not None and self._known_disk is not None:
            read = disk.read_bytes - self._known_disk.read_bytes
            written = disk.written_bytes - self._known_disk.written_bytes
        self._known_disk = disk
        account.certain = account.certain.plus(Work(cpu, read, written))
