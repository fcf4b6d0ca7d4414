"""GPUs: sFlow counter record 5703:1, summed over the GPUs of a host.

gpu_time, mem_time and energy count from the start of the agent, which reads them each second;
temperature and fan_speed are those of the hottest and the fastest. gpu_util is a percentage
of one GPU.
Source: sFlow NVML GPU Structure; metric names of Ganglia gmond.
"""

from __future__ import annotations

from ..operators import ScaledRate
from ..schema import Role, Structure, counter
from ..xdr import U32
from .vocabulary import HSFLOWD, Families, Group

NVML = Group("nvml", "nvml_gpu_", "NVML GPU ")
GPU = Families("sflow_gpu_", group="gpu")

GPU_MS = 64_000.0
"""64 GPUs, busy all the time."""
GPU_MJ = 1.6e7
"""Sixteen GPUs of 1 kW."""
ECC_ERRORS = 1e5
"""A memory that fails."""

NVIDIA_GPU = Structure(
    "nvidia_gpu",
    5703,
    1,
    (
        NVML.whole("device_count", "Count", GPU("devices", "GPUs."), metric="count", constant=True),
        NVML.whole("processes", "Processes", GPU("processes", "Processes that use a GPU.")),
        NVML.busy(
            "gpu_time",
            "Utilization",
            GPU("busy_seconds_total", "Time that GPUs were busy, summed over the GPUs."),
            metric="util",
            bound=GPU_MS,
            per_cpu=False,
        ),
        NVML.busy(
            "mem_time",
            "Mem R/W Utilization",
            GPU("memory_busy_seconds_total", "Time that GPU memory was read or written, summed over the GPUs."),
            metric="rw_util",
            bound=GPU_MS,
            per_cpu=False,
        ),
        NVML.kilobytes("mem_total", "Mem Total", GPU("memory_total_bytes", "GPU memory."), constant=True),
        NVML.kilobytes("mem_free", "Mem Free", GPU("memory_free_bytes", "Free GPU memory.")),
        NVML.rate("ecc_errors", "ECC Errors", GPU("ecc_errors_total", "ECC errors."), bound=ECC_ERRORS),
        counter(
            "energy",
            U32,
            "mJ",
            family=GPU("energy_joules_total", "Energy used."),
            ganglia=(NVML.metric("power", "Power", ScaledRate(0.001), units="W"),),
            bound=GPU_MJ,
        ),
        NVML.whole(
            "temperature",
            "Temperature",
            GPU("temperature_celsius", "Temperature of the hottest GPU."),
            "degC",
            units="C",
        ),
        NVML.whole("fan_speed", "Fan Speed", GPU("fan_speed_ratio", "Speed of the fastest fan."), "%", units="%"),
    ),
    role=Role.HOST,
    source=HSFLOWD,
)

STRUCTURES = (NVIDIA_GPU,)
