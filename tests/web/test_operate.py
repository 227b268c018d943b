"""What operators are given works: units, rules, dashboard, commands, and every metric they name."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from tests.web.serving import Served

from acx.cli.app import root

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
OPERATE = PROJECT / "docs" / "operate"
UNITS = sorted(path.name for path in (DEPLOY / "systemd").iterdir())
METRIC = re.compile(r"\bacx_[a-z_]+\b")


@pytest.fixture
def published(exchange: Served) -> dict[str, set[str]]:
    """Name ► labels of every metric that a running server gives on its metrics port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    exchange.get("/healthz")
    exchange.metrics.posted(taken=True)
    exchange.metrics.serve("127.0.0.1", port)
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(acx_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        if not name.endswith("_created"):
            found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return found


def expressions() -> list[str]:
    """Everything that the dashboard and the rules ask for."""
    dashboard = json.loads((DEPLOY / "monitoring" / "grafana-acx-exchange.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = (DEPLOY / "monitoring" / "acx-exchange.rules.yml").read_text()
    return asked + re.findall(r"^\s+expr: (.*)$", rules, re.MULTILINE)


def test_the_documented_metrics_are_those_of_a_running_server(
    published: dict[str, set[str]],
) -> None:
    table = re.findall(
        r"^\| `(acx_\w+)(?:\{(.*?)\})?` ",
        (OPERATE / "monitoring.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    documented = {name: set(filter(None, labels.split(","))) for name, labels in table}
    assert documented == published


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist(
    published: dict[str, set[str]],
) -> None:
    assert len(expressions()) > 15
    for expression in expressions():
        named = METRIC.findall(expression)
        assert named or expression.startswith("up{"), expression
        assert set(named) <= set(published), expression
        labels = {label for name in named for label in published[name]} | {"job", "instance"}
        given = re.findall(r"(\w+)=~?\"", expression)
        by = re.findall(r"by \((.*?)\)", expression)
        wanted = {*given, *(label.strip() for group in by for label in group.split(","))}
        assert wanted <= labels, expression


def test_each_alert_says_what_to_do() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: the rules are not parsed")
    document: Any = yaml.safe_load((DEPLOY / "monitoring" / "acx-exchange.rules.yml").read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len(rules) >= 7
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
    assert yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text())["rule_files"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_the_rules() -> None:
    rules = DEPLOY / "monitoring" / "acx-exchange.rules.yml"
    subprocess.run(["promtool", "check", "rules", str(rules)], check=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit(unit: str, tmp_path: Path) -> None:
    for name in UNITS:
        # The program is not installed here; everything else is as it stands.
        text = (DEPLOY / "systemd" / name).read_text().replace("/opt/acx/bin/acx", "/bin/true")
        (tmp_path / name.replace("@.", "@8442.")).write_text(text)
    path = tmp_path / unit.replace("@.", "@8442.")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert str(tmp_path) not in done.stderr, done.stderr
    if unit in ("acx-exchange.service", "acx-member.service"):
        security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)]
        assert subprocess.run(security, capture_output=True, check=False).returncode == 0


def commands() -> list[str]:
    """Every `acx …` that pages and units tell to run."""
    found = []
    for page in sorted(OPERATE.glob("*.md")):
        for block in re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            found += [line for line in block.splitlines() if line.startswith("acx ")]
    for unit in UNITS:
        text = (DEPLOY / "systemd" / unit).read_text()
        found += re.findall(r"/opt/acx/bin/(acx [^'\n]*)", text)
    return found


@pytest.mark.parametrize("command", commands())
def test_each_command_that_operators_are_told_exists(command: str) -> None:
    words = shlex.split(command)[1:]
    current: click.Command = root
    context = click.Context(root, info_name="acx")
    while isinstance(current, click.Group):
        child = current.get_command(context, words.pop(0))
        assert child is not None, command
        current = child
    options = {name for parameter in current.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, command


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("caddy", ["validate", "--adapter", "caddyfile", "--config"])],
    ids=["caddy"],
)
def test_the_proxy_takes_its_configuration(tool: str, arguments: list[str]) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: its configuration is not validated")
    subprocess.run([tool, *arguments, str(DEPLOY / "proxy" / "Caddyfile")], check=True)


def test_proxies_keep_no_log_and_pass_no_address_on() -> None:
    nginx = (DEPLOY / "proxy" / "nginx.conf").read_text()
    assert "access_log off;" in nginx
    assert "proxy_add_x_forwarded_for" not in nginx
    assert re.search(r"/v1/stream \{[^}]*proxy_buffering off;", nginx)
    assert nginx.count("{") == nginx.count("}")
    caddy = (DEPLOY / "proxy" / "Caddyfile").read_text()
    assert caddy.count("reverse_proxy") == caddy.count("-X-Forwarded-For")


def test_the_container_runs_without_root() -> None:
    lines = (DEPLOY / "container" / "Containerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert lines.index(users[0]) < next(n for n, x in enumerate(lines) if x.startswith("CMD "))
