"""GPUs: sFlow counter record 5703:1, summed over the GPUs of a host.

Source: sFlow NVML GPU Structure; metric names of Ganglia gmond. gpu_util is a percentage of one GPU.
"""

from __future__ import annotations

from ..operators import Gauge, PercentOfTime, Rate, ScaledGauge, ScaledRate
from ..schema import Family, Metric, Role, Structure, counter, gauge
from ..xdr import U32, U64

KB = ScaledGauge(1024, whole=True)

NVIDIA_GPU = Structure(
    "nvidia_gpu",
    5703,
    1,
    (
        gauge(
            "device_count",
            family=Family("sflow_gpu_devices", "GPUs."),
            ganglia=(
                Metric("nvml_gpu_count", "nvml", "NVML GPU Count", Gauge(), type="uint32", slope="zero", format="%u"),
            ),
        ),
        gauge(
            "processes",
            family=Family("sflow_gpu_processes", "Processes that use a GPU."),
            ganglia=(Metric("nvml_gpu_processes", "nvml", "NVML GPU Processes", Gauge(), type="uint32", format="%u"),),
        ),
        counter(
            "gpu_time",
            U32,
            "ms",
            family=Family("sflow_gpu_busy_seconds_total", "Time that GPUs were busy, summed over the GPUs."),
            ganglia=(Metric("nvml_gpu_util", "nvml", "NVML GPU Utilization", PercentOfTime(), units="%"),),
            bound=64_000.0,
        ),
        counter(
            "mem_time",
            U32,
            "ms",
            family=Family(
                "sflow_gpu_memory_busy_seconds_total", "Time that GPU memory was read or written, summed over the GPUs."
            ),
            ganglia=(Metric("nvml_gpu_rw_util", "nvml", "NVML GPU Mem R/W Utilization", PercentOfTime(), units="%"),),
            bound=64_000.0,
        ),
        gauge(
            "mem_total",
            U64,
            "bytes",
            family=Family("sflow_gpu_memory_total_bytes", "GPU memory."),
            ganglia=(
                Metric("nvml_gpu_mem_total", "nvml", "NVML GPU Mem Total", KB, units="KB", slope="zero", format="%.0f"),
            ),
        ),
        gauge(
            "mem_free",
            U64,
            "bytes",
            family=Family("sflow_gpu_memory_free_bytes", "Free GPU memory."),
            ganglia=(Metric("nvml_gpu_mem_free", "nvml", "NVML GPU Mem Free", KB, units="KB", format="%.0f"),),
        ),
        counter(
            "ecc_errors",
            family=Family("sflow_gpu_ecc_errors_total", "ECC errors."),
            ganglia=(Metric("nvml_gpu_ecc_errors", "nvml", "NVML GPU ECC Errors", Rate()),),
        ),
        counter(
            "energy",
            U32,
            "mJ",
            family=Family("sflow_gpu_energy_joules_total", "Energy used."),
            ganglia=(Metric("nvml_gpu_power", "nvml", "NVML GPU Power", ScaledRate(0.001), units="W"),),
        ),
        gauge(
            "temperature",
            U32,
            "degC",
            family=Family("sflow_gpu_temperature_celsius", "Temperature of the hottest GPU."),
            ganglia=(
                Metric(
                    "nvml_gpu_temperature",
                    "nvml",
                    "NVML GPU Temperature",
                    Gauge(),
                    type="uint32",
                    units="C",
                    format="%u",
                ),
            ),
        ),
        gauge(
            "fan_speed",
            U32,
            "%",
            family=Family("sflow_gpu_fan_speed_ratio", "Speed of the fastest fan."),
            ganglia=(
                Metric(
                    "nvml_gpu_fan_speed", "nvml", "NVML GPU Fan Speed", Gauge(), type="uint32", units="%", format="%u"
                ),
            ),
        ),
    ),
    role=Role.HOST,
)

STRUCTURES = (NVIDIA_GPU,)
