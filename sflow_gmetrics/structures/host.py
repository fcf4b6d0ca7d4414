"""The physical host, who it is and what its CPUs do: sFlow counter records 0:2000 to 0:2003 and 0:2100.

Source: sFlow Host Structures, sections 3 and 4; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import Gauge, Share
from ..schema import Family, Field, Role, Structure, counter, ident
from ..xdr import F32, MAC, U32, UUID, array, repeated, string
from .vocabulary import CPU_MS, HOST, HSFLOWD, Families, Group

LOAD, PROCESS, CPU, SYSTEM = Group("load"), Group("process"), Group("cpu"), Group("system")
HYPERVISOR = Group("hypervisor", "vnode_", "Hypervisor ")
VNODE = Families("sflow_vnode_")

ALL_TIME = "cpu"
"""The modes that add up to all time of all CPUs. Guests are not among them: user and nice contain their time."""

CPU_SECONDS = HOST(
    "cpu_seconds_total", "CPU time by mode, summed over the CPUs.", "CPU time by mode of all hosts of the pool."
)
GUEST_SECONDS = HOST("cpu_guest_seconds_total", "CPU time of guests (contained in user and nice).")

INTERRUPTS_PER_CPU = 1e5
"""One each 10 us: a CPU that serves more does nothing else."""
SWITCHES_PER_CPU = 2.5e5
"""One each 4 us: there is no time for work between more of them."""

MACHINE_TYPES = tuple("unknown other x86 x86_64 ia64 sparc alpha powerpc m68k mips arm hppa s390".split())
OS_NAMES = tuple("unknown other linux windows darwin hpux aix dragonfly freebsd netbsd openbsd osf solaris".split())


def _time(name: str, title: str, family: Family, *, metric: str = "", units: str = "%", share: str = ALL_TIME) -> Field:
    """Time of all CPUs in one mode, in ms, shown as a share of all time."""
    shown = CPU.metric(metric or name, title, Share(ALL_TIME), units=units)
    return counter(name, U32, "ms", family=family, ganglia=(shown,), bound=CPU_MS, per_cpu=True, share=share)


# Services and containers carry it too; their hostname is the name of the unit, container or machine.
HOST_DESCR = Structure(
    "host_descr",
    0,
    2000,
    (
        ident("hostname", string()),
        SYSTEM.text("uuid", "System UUID", UUID),
        SYSTEM.enum("machine_type", "Machine Type", MACHINE_TYPES),
        SYSTEM.enum("os_name", "Operating System", OS_NAMES),
        SYSTEM.text("os_release", "Operating System Release"),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

# hsflowd: interfaces that are up and have a MAC address, no veth with a peer, at most 32.
HOST_ADAPTERS = Structure(
    "host_adapters",
    0,
    2001,
    (ident("adapters", repeated("num_adapters", ("ifIndex", U32), ("mac", array(MAC, "num_macs")))),),
    source=HSFLOWD,
)

# hsflowd: always 2:1, the physical host.
HOST_PARENT = Structure("host_parent", 0, 2002, (ident("dsClass"), ident("dsIndex")), source=HSFLOWD)

# Agents before December 2014 send 17 fields (68 bytes); only the length tells. 32 bits of ms
# wrap after 49.7 days of CPU time: idle on 64 CPUs wraps in 18 hours.
HOST_CPU = Structure(
    "host_cpu",
    0,
    2003,
    (
        LOAD.gauge(
            "load_one",
            "One minute load average",
            Gauge(),
            HOST("load1", "Load average over 1 minute.", "Sum of the 1-minute load averages of the pool's live hosts."),
            F32,
        ),
        LOAD.gauge(
            "load_five", "Five minute load average", Gauge(), HOST("load5", "Load average over 5 minutes."), F32
        ),
        LOAD.gauge(
            "load_fifteen", "Fifteen minute load average", Gauge(), HOST("load15", "Load average over 15 minutes."), F32
        ),
        PROCESS.whole(
            "proc_run", "Total Running Processes", HOST("procs_running", "Tasks that run or wait for a CPU.")
        ),
        PROCESS.whole("proc_total", "Total Processes", HOST("procs", "Tasks (threads on Linux).")),
        CPU.whole(
            "cpu_num",
            "CPU Count",
            HOST("cpus", "CPUs.", "CPUs of the pool's live hosts."),
            units="CPUs",
            type="uint16",
            constant=True,
            zero_unknown=True,
        ),
        CPU.whole(
            "cpu_speed",
            "CPU Speed",
            HOST("cpu_frequency_hertz", "Nominal CPU frequency."),
            "MHz",
            units="MHz",
            constant=True,
            zero_unknown=True,
        ),
        CPU.start(
            "uptime",
            "Last Boot Time",
            HOST("boot_time_seconds", "When the host booted, in seconds since the epoch."),
            metric="boottime",
        ),
        _time("cpu_user", "CPU User", CPU_SECONDS(mode="user")),
        _time("cpu_nice", "CPU Nice", CPU_SECONDS(mode="nice")),
        _time("cpu_system", "CPU System", CPU_SECONDS(mode="system")),
        _time("cpu_idle", "CPU Idle", CPU_SECONDS(mode="idle")),
        _time("cpu_wio", "CPU I/O Wait", CPU_SECONDS(mode="iowait")),
        _time("cpu_intr", "CPU Interrupts", CPU_SECONDS(mode="irq"), units=""),
        _time("cpu_sintr", "CPU Soft Interrupts", CPU_SECONDS(mode="softirq"), units=""),
        CPU.rate(
            "interrupts",
            "Interrupts",
            HOST("intr_total", "Interrupts served."),
            format="%.0f",
            bound=INTERRUPTS_PER_CPU,
            per_cpu=True,
        ),
        CPU.rate(
            "contexts",
            "Context Switches",
            HOST("context_switches_total", "Context switches."),
            format="%.0f",
            bound=SWITCHES_PER_CPU,
            per_cpu=True,
        ),
        _time("cpu_steal", "CPU Steal", CPU_SECONDS(mode="steal")),
        _time("cpu_guest", "CPU Guest", GUEST_SECONDS(mode="user"), share=""),
        _time("cpu_guest_nice", "CPU Guest Nice", GUEST_SECONDS(mode="nice"), metric="cpu_gnice", share=""),
    ),
    role=Role.HOST,
    required=17,
    source=HSFLOWD,
)

# In the sample of the physical host. num_domains is 0 until hsflowd has its first list of units.
VIRT_NODE = Structure(
    "virt_node",
    0,
    2100,
    (
        HYPERVISOR.whole(
            "mhz",
            "CPU Speed",
            VNODE("cpu_frequency_hertz", "CPU frequency that the hypervisor reports."),
            "MHz",
            metric="cpu_speed",
            units="MHz",
            constant=True,
        ),
        HYPERVISOR.whole(
            "cpus",
            "CPU Count",
            VNODE("cpus", "CPUs that the hypervisor reports."),
            metric="cpu_num",
            constant=True,
        ),
        HYPERVISOR.kilobytes(
            "memory",
            "Memory Total",
            VNODE("memory_bytes", "Memory that the hypervisor reports."),
            metric="mem_total",
            constant=True,
        ),
        HYPERVISOR.kilobytes(
            "memory_free",
            "Free Memory",
            VNODE("memory_free_bytes", "Free memory that the hypervisor reports."),
            metric="mem_free",
        ),
        HYPERVISOR.whole(
            "num_domains",
            "Domain Count",
            VNODE("domains", "Services, containers and machines that the agent tracks."),
            metric="domains",
        ),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

STRUCTURES = (HOST_DESCR, HOST_ADAPTERS, HOST_PARENT, HOST_CPU, VIRT_NODE)
