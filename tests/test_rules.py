"""The architecture as tests: what may import what, how long a module may be, what the tree must not contain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sflow_gmetrics import operators
from sflow_gmetrics.errors import DeclarationError
from sflow_gmetrics.operators import NowMinus, Operator, PercentOfTime, Rate, Share, Text
from sflow_gmetrics.schema import UNITS, Family, Field, Metric, Structure, counter, gauge, ident
from sflow_gmetrics.structures import COUNTER_RECORDS, FLOW_RECORDS, registry
from sflow_gmetrics.xdr import F32, U32, string

ROOT = Path(__file__).parents[1]
CORE = "sflow_gmetrics"
MODULES = sorted([*ROOT.glob(f"{CORE}/**/*.py"), *ROOT.glob("exporters/**/*.py")])

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "lookup"}),
    frozenset({"config_check"}),
    frozenset({"strict"}),
    frozenset({"xdr"}),
    frozenset({"schema"}),
    frozenset({"operators"}),
    frozenset({"structures"}),
    frozenset({"counters", "draft", "notes", "rivals"}),
    frozenset({"config", "datagram", "layout", "names", "remote", "stream", "tables"}),
    frozenset({"inspect", "pools", "source"}),
    frozenset({"agent", "conflicts", "convoy", "ledger", "limits"}),
    frozenset({"careful", "snapshot"}),
    frozenset({"derive"}),
    frozenset({"collector"}),
    frozenset({"reconfigure", "state"}),
    frozenset({"restore"}),
    frozenset({CORE}),
    frozenset({"exporters", "inputs", "replay", "analytics"}),
    frozenset({"simulation"}),
    frozenset({"journal", "state_file", "sweeper"}),
    frozenset({"activation", "doctor", "events", "logs", "memory", "notify", "pages", "reload", "sizing", "storage"}),
    frozenset({"crew", "persistence", "ports"}),
    frozenset({"outputs", "trial"}),
    frozenset({"app", "demo", "live"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""From the ground up. A module imports from layers below its own only; a package is one place."""
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

EDGE = set(
    "__main__ activation analytics app cli crew demo doctor events inputs journal live logs lookup memory notify "
    "outputs pages persistence ports reload replay simulation sizing state_file storage trial".split()
)
"""The places of sflow_gmetrics that may do I/O or, like `analytics`, are built on top of the core."""
IMPURE = {"exporters", "socket", "asyncio", "time", "threading", "logging"}

LONGEST = 400


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _place(module: str) -> str:
    """The layer's name for a module: sflow_gmetrics.structures.host is in "structures"."""
    parts = module.split(".")
    if parts[0] == CORE:
        return parts[1] if len(parts) > 1 else CORE
    return parts[0]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _run_time_nodes(other)
            continue
        yield child
        yield from _run_time_nodes(child)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(path: Path) -> set[str]:
    """The modules that this one imports when it runs, in full: relative ones resolved."""
    package = _name(path).split(".") if path.name == "__init__.py" else _name(path).split(".")[:-1]
    found: set[str] = set()
    for node in _run_time_nodes(_tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                found.add(inner if _is_module(inner) else origin)
    return found


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_run_strictly_downward(path: Path) -> None:
    here = _place(_name(path))
    assert here in RANK, f"{_name(path)} stands in no layer: give it its place in LAYERS"
    for module in imported(path):
        there = _place(module)
        if there in RANK and module.split(".")[0] in (CORE, "exporters") and there != here:
            assert RANK[there] < RANK[here], f"{_name(path)} imports {module} from above or beside"


def test_structures_build_on_their_vocabulary_and_are_gathered_last() -> None:
    rooms = f"{CORE}.structures"
    assert not {one for one in imported(ROOT / CORE / "structures" / "vocabulary.py") if one.startswith(rooms)}
    for path in (ROOT / CORE / "structures").glob("[a-z]*.py"):
        assert rooms not in imported(path), f"{path.name} imports the registry that gathers it"


@pytest.mark.parametrize("path", [one for one in MODULES if _place(_name(one)) not in EDGE | {"exporters"}], ids=_name)
def test_the_core_knows_no_output_no_socket_and_no_clock(path: Path) -> None:
    names = {module.split(".")[0] for module in imported(path)}
    assert not names & IMPURE


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert (ast.get_docstring(ast.parse(text)) or "").strip(), "a module begins with a docstring"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}
    classes = [node.name for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if re.search("Manager|Helper|Util", name)]


def test_the_package_exports_few_names() -> None:
    import sflow_gmetrics

    assert 0 < len(sflow_gmetrics.__all__) <= 20
    assert all(hasattr(sflow_gmetrics, name) for name in sflow_gmetrics.__all__)


# --- declarations


def test_a_tag_belongs_to_one_structure() -> None:
    twins = [Structure(name, 0, 4000, (counter("n"),)) for name in ("first", "second")]
    with pytest.raises(DeclarationError, match="second and first both claim 0:4000"):
        registry(twins)


def test_counter_and_flow_records_are_registered_under_their_tags() -> None:
    for records in (COUNTER_RECORDS, FLOW_RECORDS):
        assert all(structure.tag == tag for tag, structure in records.items())
        names = [structure.name for structure in records.values()]
        assert len(set(names)) == len(names)


def test_a_field_name_stands_once_in_a_structure() -> None:
    with pytest.raises(DeclarationError, match="stands twice"):
        Structure("twice", 0, 4000, (counter("n"), gauge("n")))


def _shown(make: Field, operator: Operator, **form: str) -> Structure:
    metric = Metric("m", "group", "Title", operator, **form)  # type: ignore[arg-type]
    return Structure("wrong", 0, 4000, (Field(make.name, make.type, make.kind, make.unit, ganglia=(metric,)),))


@pytest.mark.parametrize(
    ("one", "operator"),
    [
        (gauge("n"), Rate()),
        (ident("n"), Rate()),
        (counter("n", unit="bytes"), PercentOfTime()),
        (counter("n", unit="s"), PercentOfTime()),
        (gauge("n", unit="ms"), Share("cpu")),
        (gauge("n", unit="ms"), NowMinus()),
        (gauge("n"), Text()),
        (ident("n", string()), operators.Gauge()),
        (counter("n"), operators.RatioOfDeltas(gauge("by"))),
        (gauge("n"), operators.RatioOfGauges(ident("by", string()))),
        (gauge("n"), operators.EnumText(("off", "on"))),
    ],
    ids=lambda value: getattr(value, "unit", type(value).__name__) or "plain",
)
def test_an_operator_that_does_not_fit_its_field_is_refused(one: Field, operator: Operator) -> None:
    with pytest.raises(DeclarationError, match=r"wrong\.n"):
        _shown(one, operator)


@pytest.mark.parametrize("form", [{"type": "decimal"}, {"slope": "up"}], ids=str)
def test_a_metric_has_a_type_and_slope_of_ganglia(form: dict[str, str]) -> None:
    with pytest.raises(DeclarationError, match="has type"):
        _shown(counter("n"), Rate(), **form)


@pytest.mark.parametrize(
    "one",
    [
        counter("n", family=Family("sflow_things", "A counter without _total.")),
        gauge("n", family=Family("sflow_things_total", "A gauge with _total.")),
        counter("n", U32, "ms", family=Family("sflow_busy_total", "Time that does not say seconds.")),
        gauge("n", U32, "furlongs"),
        counter("n", F32),
    ],
    ids=lambda one: f"{one.kind.value} {one.type.name} {one.unit} {one.family.name if one.family else ''}",
)
def test_a_field_that_contradicts_its_family_or_unit_is_refused(one: Field) -> None:
    with pytest.raises(DeclarationError, match=r"wrong\.n"):
        Structure("wrong", 0, 4000, (one,))


SHOWN_UNITS = {
    ("Rate", "bytes", "bytes/sec"),
    ("Rate", "packets", "packets/sec"),
    ("Rate", "packets", "errors/sec"),
    ("Rate", "packets", "drops/sec"),
    ("Rate", "", "errors/sec"),
    ("Rate", "", "per sec"),
    ("Rate", "ms", "mS"),
    ("ScaledRate", "mJ", "W"),
    ("PercentOfTime", "ms", "%"),
    ("Share", "ms", "%"),
    ("RatioOfDeltas", "ms", "mS"),
    ("RatioOfGauges", "bytes", "%"),
    ("ScaledGauge", "bytes", "KB"),
    ("ScaledGauge", "bytes", "GB"),
    ("ScaledGauge", "1/100 %", "%"),
    ("NowMinus", "s", "s"),
    ("Gauge", "MHz", "MHz"),
    ("Gauge", "degC", "C"),
    ("Gauge", "%", "%"),
    ("Gauge", "", "CPUs"),
}
"""Operator, unit on the wire, unit in Ganglia. A metric without a unit may be anything."""


def test_the_unit_of_a_metric_follows_from_that_of_its_field() -> None:
    used = {
        (type(metric.operator).__name__, one.unit, metric.units)
        for structure in COUNTER_RECORDS.values()
        for one in structure.fields
        for metric in one.ganglia
        if metric.units
    }
    assert used == SHOWN_UNITS


def test_a_family_in_base_units_has_a_field_with_a_unit() -> None:
    bases = {unit.base for unit in UNITS.values() if unit.base}
    for structure in COUNTER_RECORDS.values():
        for one in structure.fields:
            if one.family is not None:
                words = set(one.family.name.split("_")) & bases
                assert words == ({UNITS[one.unit].base} - {""}), f"{structure.name}.{one.name}: {one.family.name}"


# --- the tree

WORKPLACE = re.compile(
    "|".join(
        (
            "/" + "work/",
            "/" + "root/",
            "/tmp/" + "venv",
            "shared/" + "(?:reference|captures|tools|bench)",
            "ARCHITECTURE" + r"\.md",
            "brief" + r"\.md",
        )
    )
)
"""Paths that exist where the project is made, and nowhere else."""
SKIPPED = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist", "node_modules"}


def _texts() -> Iterator[tuple[Path, str]]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if SKIPPED & set(parts) or any(part.endswith(("_cache", ".egg-info")) for part in parts) or not path.is_file():
            continue
        try:
            yield path, path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a recording or an image


def test_the_tree_names_no_place_where_it_was_made() -> None:
    found = [f"{path.relative_to(ROOT)}: {hit[0]}" for path, text in _texts() for hit in WORKPLACE.finditer(text)]
    assert not found
