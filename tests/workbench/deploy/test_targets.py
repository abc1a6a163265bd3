"""What `workbench deploy` makes is read by its readers, and says of the project what is true."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.cli.root import root
from workbench.deploy.facts import IMAGE_USER, Facts, facts_of
from workbench.deploy.targets import TARGETS
from workbench.settings import load_project

SETTINGS = """
[project]
name = '''100 % "my" shop: $HOME @slug@ # Grüße'''

[serve]
port = 8123
host = "127.0.0.1"

[pipelines.churn]
data = "data/customers.csv"
target = "churned"
model = "churn-classifier"
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Of a project whose name and folder have every character that some format minds."""
    folder = tmp_path_factory.mktemp("deploy") / 'a "b" $c 100%d'
    folder.mkdir()
    (folder / "workbench.toml").write_text(SETTINGS, encoding="utf-8")
    return facts_of(load_project(folder), image="registry.example/shop:1")


def made(facts: Facts, target: str) -> dict[str, str]:
    return TARGETS[target].files(facts)


def only(facts: Facts, target: str) -> Any:
    (content,) = made(facts, target).values()
    return yaml.safe_load(content)


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_is_complete_and_parses(facts: Facts, target: str) -> None:
    for path, content in made(facts, target).items():
        assert not re.findall(r"@(?!slug@)[a-z_]+@", content), "a place was left empty"
        assert content.endswith("\n")
        if path.endswith((".yaml", ".yml")):
            assert list(yaml.safe_load_all(content))
        if path.endswith(".json"):
            assert json.loads(content)


def test_compose_runs_a_server_of_512_mb_that_only_this_machine_reaches(facts: Facts) -> None:
    services = only(facts, "compose")["services"]
    server = services["server"]
    assert server["mem_limit"] == "512m"
    assert server["command"] == ["serve", "--port", "8123"]
    assert server["ports"] == ["${WORKBENCH_BIND:-127.0.0.1}:8123:8123"]
    assert server["image"] == "${WORKBENCH_IMAGE:-registry.example/shop:1}"
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["volumes"] == [".:/project"]


def test_compose_has_a_watcher_and_an_mlflow_server_for_those_who_ask(facts: Facts) -> None:
    services = only(facts, "compose")["services"]
    assert services["watcher"]["command"] == ["watch"]
    assert services["mlflow"]["profiles"] == ["mlflow"]
    assert services["mlflow"]["ports"] == ["127.0.0.1:5000:5000"]
    assert "profiles" not in services["server"]


def test_containers_run_as_the_owner_of_the_folder_but_never_as_root(facts: Facts) -> None:
    assert facts.uid == (facts.root.stat().st_uid or IMAGE_USER)
    user = only(replace(facts, uid=1234, gid=1235), "compose")["services"]["server"]["user"]
    assert user == "${WORKBENCH_UID:-1234}:${WORKBENCH_GID:-1235}"


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose here")
def test_compose_itself_reads_the_file(facts: Facts, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(made(facts, "compose")["compose.yaml"])
    command = ["docker-compose", "-f", str(file), "config", "-q"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def units(facts: Facts) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for target in ("systemd", "systemd-user"):
        for path, content in made(facts, target).items():
            values: dict[str, list[str]] = {}
            for line in content.splitlines():
                key, separator, value = line.partition("=")
                if separator and not line.startswith("#"):
                    values.setdefault(key, []).append(value)
            yield path, values


def test_units_restart_what_failed_limit_its_memory_and_quote_paths(facts: Facts) -> None:
    for path, values in units(facts):
        assert values["Restart"] == ["on-failure"]
        assert values["NoNewPrivileges"] == ["yes"]
        assert values["WorkingDirectory"] == [str(facts.root).replace("%", "%%")]
        is_server = not path.endswith("-watch.service")
        assert values["Type"] == ["notify" if is_server else "exec"]
        assert values["MemoryMax"] == ["512M" if is_server else "2G"]
        words = shlex.split(values["ExecStart"][0])
        expected = ["serve", "--host", "127.0.0.1", "--port", "8123"] if is_server else ["watch"]
        assert words == [facts.command, *expected]
        if "ReadWritePaths" in values:
            written = shlex.split(values["ReadWritePaths"][0])[0]
            assert written.replace("%%", "%").replace("$$", "$") == str(facts.root)


@pytest.mark.parametrize(
    ("socket", "line"),
    [
        ("run/w.sock", None),
        ("/run/shop models/w.sock", 'RuntimeDirectory="shop models"'),
        ("/srv/sockets/w.sock", "ReadWritePaths=/srv/sockets"),
    ],
)
def test_on_a_socket_units_and_proxies_name_it_and_containers_keep_the_port(
    facts: Facts, tmp_path: Path, socket: str, line: str | None
) -> None:
    more = f'[serve]\nsocket = "{socket}"\nadmin_port = 9100'
    (tmp_path / "workbench.toml").write_text(SETTINGS.replace("[serve]", more), encoding="utf-8")
    on_socket = facts_of(load_project(tmp_path))
    path = str((tmp_path / socket).resolve())
    unit = made(on_socket, "systemd")[f"workbench-{on_socket.slug}.service"]
    (started,) = [one for one in unit.splitlines() if one.startswith("ExecStart=")]
    assert shlex.split(started)[1:] == ["serve", "--socket", path]
    assert line is None or line in unit.splitlines()
    (nginx,) = made(on_socket, "nginx").values()
    assert f'server "unix:{path}";' in nginx
    assert 'trusted_proxies = ["unix"]' in nginx
    (caddyfile,) = made(on_socket, "caddy").values()
    assert f'reverse_proxy "unix/{path}"' in caddyfile
    server = only(on_socket, "compose")["services"]["server"]
    assert server["environment"]["WORKBENCH_SERVE__SOCKET"] == ""
    assert server["command"] == ["serve", "--port", "8123"]
    assert "127.0.0.1:9100" in made(on_socket, "prometheus")["prometheus.yml"]


def test_proxies_reach_the_port_where_there_is_no_socket(facts: Facts) -> None:
    (nginx,) = made(facts, "nginx").values()
    assert "server 127.0.0.1:8123;" in nginx
    (caddyfile,) = made(replace(facts, host="0.0.0.0"), "caddy").values()
    assert "reverse_proxy 127.0.0.1:8123 {" in caddyfile


@pytest.fixture(params=[None, "api.sock"])
def reached(request: pytest.FixtureRequest, facts: Facts) -> Facts:
    """By its port, and by a socket in the folder with the strange name."""
    return replace(facts, socket=request.param and facts.root / request.param)


@pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="no nginx here")
def test_nginx_itself_reads_the_configuration(reached: Facts, tmp_path: Path) -> None:
    (text,) = made(reached, "nginx").values()
    # It reads the certificate, too.
    text = text.replace("/etc/letsencrypt/live/models.example.com", str(tmp_path))
    files = ["-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")]
    self_signed = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=models", *files]
    subprocess.run(self_signed, capture_output=True, check=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = [f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds]
    whole = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {' '.join(paths)} {text} }}"
    (tmp_path / "nginx.conf").write_text(whole, encoding="utf-8")
    command = ["nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "warn" not in result.stderr


@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy here")
def test_caddy_itself_reads_the_configuration(reached: Facts, tmp_path: Path) -> None:
    (text,) = made(reached, "caddy").values()
    (tmp_path / "Caddyfile").write_text(text, encoding="utf-8")
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    for words in (command, ["caddy", "adapt", *command[2:]]):
        result = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
    # What it would pass requests on to, as it understood it.
    upstream = f"unix/{reached.socket}" if reached.socket else f"127.0.0.1:{reached.port}"
    assert json.dumps({"dial": upstream}, separators=(",", ":"), ensure_ascii=False) in result.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("target", ["systemd", "systemd-user"])
def test_systemd_has_nothing_to_say_against_the_units(facts: Facts, target: str, tmp_path: Path) -> None:
    # It looks for the account and the command on this machine.
    here = replace(facts, user="root", command=shutil.which("sh") or "/bin/sh")
    paths = []
    for name, content in made(here, target).items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        paths.append(str(tmp_path / name))
    options = ["--user"] if target == "systemd-user" else []
    command = ["systemd-analyze", "verify", "--man=no", *options, *paths]
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "Failed to initialize manager" in result.stderr:
        pytest.skip(result.stderr.strip())
    said = [line for line in result.stderr.splitlines() if "workbench-" in line]
    assert (result.returncode, said) == (0, [])


def test_kubernetes_keeps_one_pod_that_probes_find_and_that_cannot_be_root(facts: Facts) -> None:
    claim, deployment, service = yaml.safe_load_all(made(facts, "kubernetes")["kubernetes.yaml"])
    assert {part["metadata"]["name"] for part in (claim, deployment, service)} == {facts.slug}
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    server, watcher = pod["containers"]
    assert server["image"] == watcher["image"] == "registry.example/shop:1"
    assert server["resources"]["limits"]["memory"] == "512Mi"
    assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert server["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert server["securityContext"]["readOnlyRootFilesystem"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_render_and_railway_ask_for_health_and_name_the_model_in_production(facts: Facts) -> None:
    (service,) = only(facts, "render")["services"]
    assert (service["healthCheckPath"], service["plan"]) == ("/health", "starter")
    variables = {entry["key"]: entry.get("value") for entry in service["envVars"]}
    assert variables["MODEL_URI"] == "models:/churn-classifier/Production"
    assert {"MLFLOW_TRACKING_URI", "WORKBENCH_API_KEYS"} <= variables.keys()
    assert only(facts, "railway")["deploy"]["healthcheckPath"] == "/health"


def test_ci_deploys_only_what_the_gate_let_through(facts: Facts) -> None:
    jobs = only(facts, "github")["jobs"]
    assert jobs["train"]["needs"] == "test"
    assert jobs["deploy"]["if"] == "needs.train.outputs.promoted == 'true'"
    pipeline = only(facts, "gitlab")
    assert pipeline["deploy"]["needs"] == ["image"]
    assert pipeline["image"]["needs"] == ["train"]


@pytest.mark.parametrize(("code", "expected"), [(0, "promoted=true\n"), (3, "promoted=false\n"), (1, None)])
def test_the_workflow_tells_a_refusal_of_the_gate_from_a_failure(
    facts: Facts, tmp_path: Path, code: int, expected: str | None
) -> None:
    steps = only(facts, "github")["jobs"]["train"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("id") == "gate"]
    fake = tmp_path / "workbench"
    fake.write_text(f"""#!/bin/sh\necho '{{"promoted": true}}'\nexit {code}\n""")
    fake.chmod(0o755)
    python = shutil.which("python3") or "python3"
    (tmp_path / "python").symlink_to(python)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    result = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment)
    if expected is None:
        assert result.returncode == code
        assert not (tmp_path / "output").exists()
    else:
        assert result.returncode == 0
        assert (tmp_path / "output").read_text() == expected


def test_commands_and_options_in_the_files_exist(facts: Facts) -> None:
    import click

    pattern = re.compile(r"(?:^|[\s\"'])(?:workbench|/\S*/workbench) ([a-z]+)((?: --[a-z]+)*)", re.MULTILINE)
    found = 0
    for target in TARGETS:
        for content in made(replace(facts, command="/usr/bin/workbench"), target).values():
            lines = [line for line in content.splitlines() if not line.lstrip().startswith("#")]
            for name, options in pattern.findall("\n".join(lines)):
                if name in ("servers", "metrics"):
                    continue
                command = root.get_command(click.Context(root), name)
                assert command is not None, f"{target} calls workbench {name}"
                known = {option for parameter in command.params for option in parameter.opts}
                assert set(options.split()) <= known
                found += 1
    assert found >= 8


def test_dashboards_and_rules_ask_for_metrics_that_the_server_has(facts: Facts) -> None:
    from serve.drift_view import DriftView
    from serve.telemetry import Telemetry

    telemetry = Telemetry()
    telemetry.watch(lambda: (), lambda: 0)
    telemetry.registry.register(DriftView(None))
    names = set(re.findall(r"^# TYPE (\w+)", telemetry.exposition().decode(), re.MULTILINE))
    names |= {f"{name}_bucket" for name in names}
    asked = set()
    rules = yaml.safe_load(made(facts, "prometheus")["workbench-rules.yml"])
    for group in rules["groups"]:
        for rule in group["rules"]:
            asked |= set(re.findall(r"workbench_\w+", rule["expr"]))
    board = json.loads(made(facts, "grafana")["workbench-dashboard.json"])
    for panel in board["panels"]:
        for query in panel["targets"]:
            asked |= set(re.findall(r"workbench_\w+", query["expr"]))
    for variable in board["templating"]["list"][1:]:
        asked |= set(re.findall(r"workbench_\w+", variable["query"]["query"]))
    assert asked
    assert asked <= names


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_prometheus_itself_reads_the_configuration_and_the_rules(facts: Facts, tmp_path: Path) -> None:
    for path, content in made(facts, "prometheus").items():
        (tmp_path / path).write_text(content, encoding="utf-8")
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_dashboard_has_panels_that_do_not_overlap(facts: Facts) -> None:
    board = json.loads(made(facts, "grafana")["workbench-dashboard.json"])
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not own & cells
        assert place["x"] + place["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
