"""Every family of the naming exists, with its type and labels; where we differ, it is said here."""

from __future__ import annotations

from pathlib import Path

from exporters.families import EXTRAS
from exporters.runtime_families import RUNTIME
from sflow_gmetrics.schema import Kind, Role
from sflow_gmetrics.structures import COUNTER_RECORDS

ROOT = Path(__file__).parents[2]
NAMING = ROOT / "tests" / "captures" / "prometheus-families.tsv"
OTHER_LABELS = {"sflow_collector_build_info": ("version", "python")}
"""The naming has a revision too; a released package has none."""
_ROLES = {Role.HOST: ("pool", "host"), Role.SERVICE: ("pool", "host", "service", "kind")}


def ours() -> dict[str, tuple[str, frozenset[str]]]:
    """Every family that a page can have: its type and labels."""
    found: dict[str, tuple[str, frozenset[str]]] = {
        extra.name: (extra.type, frozenset(extra.labels)) for extra in (*EXTRAS, *RUNTIME)
    }
    for structure in COUNTER_RECORDS.values():
        for one in structure.fields:
            if one.family is None:
                continue
            kind = "counter" if one.kind is Kind.COUNTER else "gauge"
            own = {name for name, _ in one.family.labels}
            own |= {"application"} if structure.name.startswith("app_") else set()
            role = _ROLES.get(structure.role, ("pool", "host", "interface"))
            found[one.family.name] = (kind, frozenset((*role, *own)))
            if (pool := one.family.pool) is not None:
                service = {"service", "kind"} if structure.role is Role.SERVICE else set()
                found[pool.name] = (kind, frozenset(("pool", *service, *(name for name, _ in pool.labels))))
    return found


def test_every_family_of_the_naming_exists_with_its_type_and_labels() -> None:
    mine = ours()
    rows = [line.split("\t") for line in NAMING.read_text("utf-8").splitlines()[2:]]
    assert len(rows) > 200
    for _, _, name, kind, labels, _ in rows:
        assert name in mine, f"{name} is missing"
        wanted = OTHER_LABELS.get(name, tuple(labels.split(",")) if labels not in ("", "-") else ())
        assert mine[name] == (kind, frozenset(wanted)), name
