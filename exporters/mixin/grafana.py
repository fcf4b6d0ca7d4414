"""Dashboards as Grafana's JSON: where each panel stands, and the many words that Grafana wants for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import singledispatch
from itertools import count
from string import ascii_uppercase
from typing import Any

from .panels import Column, Dashboard, Graph, Label, Panel, Query, Row, Stat, Step, Table, Variable

Json = dict[str, Any]

SCHEMA_VERSION = 41
"""That of Grafana 12; older ones read it as well."""
TAG = "sflow"
SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
MIN_STEP = "30s"
"""$__rate_interval is at least four of these: enough for agents that poll every 30 seconds."""
WIDTH = 24


def render_dashboard(one: Dashboard) -> Json:
    """The dashboard as Grafana imports it."""
    return {
        "annotations": {"list": [_BUILT_IN, _alerts()]},
        "description": one.description,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [_LINKS],
        "panels": list(_panels(one.rows)),
        "preload": False,
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "tags": [TAG],
        "templating": {"list": [_DATASOURCE, *map(_variable, one.variables)]},
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": one.title,
        "uid": one.uid,
        "version": 1,
        "weekStart": "",
    }


_BUILT_IN: Json = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}
_LINKS: Json = {
    "asDropdown": False,
    "icon": "external link",
    "includeVars": True,
    "keepTime": True,
    "tags": [TAG],
    "targetBlank": False,
    "title": "sFlow",
    "tooltip": "",
    "type": "dashboards",
    "url": "",
}
_DATASOURCE: Json = {
    "current": {},
    "hide": 0,
    "includeAll": False,
    "label": "Data source",
    "multi": False,
    "name": "datasource",
    "options": [],
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "skipUrlSync": False,
    "type": "datasource",
}


def _alerts() -> Json:
    return {
        "datasource": SOURCE,
        "enable": False,
        "expr": 'ALERTS{alertname=~"Sflow.+", alertstate="firing"}',
        "hide": False,
        "iconColor": "red",
        "name": "Alerts",
        "step": "60s",
        "tagKeys": "severity",
        "textFormat": "{{pool}} {{host}} {{service}} {{instance}}",
        "titleFormat": "{{alertname}}",
    }


def _variable(one: Variable) -> Json:
    return {
        "allValue": ".+" if one.several else None,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if one.several else {},
        "datasource": SOURCE,
        "definition": one.values,
        "hide": 0,
        "includeAll": one.several,
        "label": one.title,
        "multi": one.several,
        "name": one.name,
        "options": [],
        "query": {"qryType": 1, "query": one.values, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }


# --- where panels stand


def _panels(rows: Iterable[Row]) -> Iterator[Json]:
    """Rows below each other; in each, panels from left to right as long as there is room."""
    ids, top = count(1), 0
    for row in rows:
        head = {"collapsed": row.closed, "id": next(ids), "panels": [], "title": row.title, "type": "row"}
        head["gridPos"] = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        top += 1
        inner: list[Json] = []
        left = line = 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                left, top, line = 0, top + line, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            inner.append({"id": next(ids), **_common(panel), **_special(panel), "gridPos": place})
            left, line = left + panel.width, max(line, panel.height)
        top += line
        if row.closed:
            yield {**head, "panels": inner}
        else:
            yield head
            yield from inner


def _common(panel: Panel) -> Json:
    return {"datasource": SOURCE, "description": panel.description, "title": panel.title, "type": _type(panel)}


def _type(panel: Panel) -> str:
    return {Graph: "timeseries", Stat: "stat", Table: "table"}[type(panel)]


@singledispatch
def _special(panel: Panel) -> Json:
    """What a kind of panel has besides."""
    raise TypeError(panel)


# --- graphs


@_special.register
def _(panel: Graph) -> Json:
    custom: Json = {
        "axisBorderShow": False,
        "drawStyle": "line",
        "fillOpacity": 40 if panel.stacked else 10,
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
    }
    defaults: Json = {"color": {"mode": "palette-classic"}, "custom": custom, "mappings": [], "unit": panel.unit}
    overrides = []
    if panel.below:
        overrides.append(_override("byRegexp", f"/{panel.below}$/", ("custom.transform", "negative-Y")))
    else:
        defaults["min"] = 0
    if panel.highest is not None:
        defaults["max"] = panel.highest
    legend = {"calcs": ["mean", "max", "lastNotNull"], "displayMode": "table", "placement": "bottom"}
    return {
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": {
            "legend": {**legend, "showLegend": True, "sortBy": "Mean", "sortDesc": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [_target(ref, one, instant=False) for ref, one in zip(ascii_uppercase, panel.queries, strict=False)],
    }


def _target(ref: str, query: Query, *, instant: bool) -> Json:
    return {
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "format": "table" if instant else "time_series",
        "instant": instant,
        "interval": MIN_STEP,
        "legendFormat": query.legend or "__auto",
        "range": not instant,
        "refId": ref,
    }


def _override(matcher: str, value: str, *properties: tuple[str, Any]) -> Json:
    return {
        "matcher": {"id": matcher, "options": value},
        "properties": [{"id": name, "value": setting} for name, setting in properties],
    }


def _thresholds(steps: Iterable[Step]) -> Json:
    first, *others = steps
    return {
        "mode": "absolute",
        "steps": [
            {"color": first[0], "value": None},
            *({"color": color, "value": value} for color, value in others),
        ],
    }


# --- numbers


@_special.register
def _(panel: Stat) -> Json:
    words = {
        f"{value:g}": {"color": color, "index": index, "text": text}
        for index, (value, text, color) in enumerate(panel.words)
    }
    defaults: Json = {
        "color": {"mode": "thresholds"},
        "mappings": [{"options": words, "type": "value"}] if words else [],
        "thresholds": _thresholds(panel.steps),
        "unit": panel.unit,
    }
    return {
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "colorMode": "value",
            "graphMode": "none" if words else "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        "targets": [_target("A", panel.query, instant=False)],
    }


# --- tables


@_special.register
def _(panel: Table) -> Json:
    refs = dict(zip(ascii_uppercase, panel.columns, strict=False))
    names = {one.name: one.title for one in panel.labels}
    names |= {f"Value #{ref}" if len(refs) > 1 else "Value": one.title for ref, one in refs.items()}
    defaults: Json = {
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
        "mappings": [],
        "thresholds": _thresholds((("green", 0),)),
    }
    overrides = [one for label in panel.labels for one in _links(label)]
    overrides += [_override("byName", one.title, *_column(one)) for one in panel.columns]
    organize = {
        "excludeByName": {"Time": True},
        "includeByName": {},
        "indexByName": {name: index for index, name in enumerate(names)},
        "renameByName": names,
    }
    return {
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": {
            "cellHeight": "sm",
            "footer": {"countRows": False, "fields": "", "reducer": ["sum"], "show": False},
            "showHeader": True,
            "sortBy": [{"desc": True, "displayName": panel.sort}],
        },
        "targets": [_target(ref, Query(one.expr), instant=True) for ref, one in refs.items()],
        "transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    }


def _links(label: Label) -> Iterator[Json]:
    if label.link:
        links = [{"targetBlank": False, "title": "Show ${__value.text}", "url": label.link}]
        yield _override("byName", label.title, ("links", links))


def _column(one: Column) -> list[tuple[str, Any]]:
    settings: list[tuple[str, Any]] = [("unit", one.unit)]
    if one.gauge:
        settings += [
            ("min", 0),
            ("max", 1),
            ("custom.cellOptions", {"mode": "basic", "type": "gauge", "valueDisplayMode": "text"}),
            ("thresholds", _thresholds((("green", 0), ("yellow", 0.7), ("red", 0.9)))),
        ]
    return settings
