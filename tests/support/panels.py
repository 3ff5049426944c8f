"""The queries of `deploy/`: what Grafana and Prometheus ask for."""

import json
import re

import yaml

from tests.support.processes import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "clarity-sage.json"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"


def dashboard_queries() -> list[str]:
    """Every panel's queries, as they stand in the file."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def alert_rules() -> dict[str, str]:
    """Expressions by name of the alert."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def metric_names(query: str) -> set[str]:
    """Names of the metrics that a query asks for: ours, the SDK's and `up`."""
    return set(re.findall(r"\b(?:clarity_sage_\w+|temporal_\w+|up(?=\{))", query))
