"""The table of targets: what `workbench deploy TARGET` makes, from which templates, to be put where."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

from workbench.deploy.facts import Facts
from workbench.deploy.quoting import (
    caddy_word,
    json_text,
    nginx_word,
    shell_word,
    unit_path,
    unit_word,
    yaml_text,
)

_PLACE = re.compile(r"@([a-z_]+)@")
_TEMPLATES = "templates"


class Piece(NamedTuple):
    """A file of a target: the template it is made from, and its path as its reader expects it."""

    template: str
    path: str


@dataclass(frozen=True)
class Target:
    """Something a project can be deployed to."""

    help: str
    pieces: tuple[Piece, ...]
    next_step: str
    """What to do with the files; it may say @slug@ and other facts."""

    def files(self, facts: Facts) -> dict[str, str]:
        """Path to content, in the order to read them in."""
        return {filled(piece.path, facts): filled(template(piece.template), facts) for piece in self.pieces}


TARGETS: dict[str, Target] = {
    "dockerfile": Target(
        "An image of this project, its models inside.",
        (Piece("Dockerfile", "Dockerfile"), Piece("dockerignore", ".dockerignore")),
        "docker build -t @slug@ . && docker run -p @port@:@port@ -e PORT=@port@ @slug@",
    ),
    "compose": Target(
        "Server, watcher and, if wanted, an MLflow server with Docker Compose.",
        (Piece("compose.yaml", "compose.yaml"),),
        "docker compose up -d; with MLflow's pages on port 5000: docker compose --profile mlflow up -d",
    ),
    "kubernetes": Target(
        "Deployment, volume and service for a cluster.",
        (Piece("kubernetes.yaml", "kubernetes.yaml"),),
        "kubectl apply -f kubernetes.yaml",
    ),
    "systemd": Target(
        "Hardened units for the server and the watcher.",
        (
            Piece("systemd/server.service", "workbench-@slug@.service"),
            Piece("systemd/watch.service", "workbench-@slug@-watch.service"),
        ),
        "put them into /etc/systemd/system; systemctl daemon-reload; systemctl enable --now "
        "workbench-@slug@ workbench-@slug@-watch",
    ),
    "systemd-user": Target(
        "The same without root: units of your own account.",
        (
            Piece("systemd/user-server.service", "workbench-@slug@.service"),
            Piece("systemd/user-watch.service", "workbench-@slug@-watch.service"),
        ),
        "put them into ~/.config/systemd/user; systemctl --user daemon-reload; systemctl --user enable "
        "--now workbench-@slug@ workbench-@slug@-watch; loginctl enable-linger",
    ),
    "nginx": Target(
        "nginx in front of the server, with TLS: by its port or its Unix socket.",
        (Piece("nginx.conf", "@slug@.conf"),),
        "put your names into it and it into /etc/nginx/conf.d; nginx -t && nginx -s reload",
    ),
    "caddy": Target(
        "The same with Caddy, which sees to the certificate.",
        (Piece("Caddyfile", "Caddyfile"),),
        "put your name into it; caddy validate --config Caddyfile && caddy run --config Caddyfile",
    ),
    "render": Target(
        "A blueprint for Render.",
        (Piece("render.yaml", "render.yaml"),),
        "it builds the Dockerfile of workbench deploy dockerfile",
    ),
    "railway": Target(
        "Settings of a service on Railway.",
        (Piece("railway.json", "railway.json"),),
        "it builds the Dockerfile of workbench deploy dockerfile; set MODEL_URI, MLFLOW_TRACKING_URI and "
        "WORKBENCH_API_KEYS as variables where they are needed",
    ),
    "github": Target(
        "A workflow for GitHub Actions: test, train, gate, image, deploy.",
        (Piece("github.yml", ".github/workflows/model.yml"),),
        "its secrets and variables are named at its top",
    ),
    "gitlab": Target(
        "The same for GitLab CI.",
        (Piece("gitlab.yml", ".gitlab-ci.yml"),),
        "its variables are named at its top",
    ),
    "prometheus": Target(
        "A scrape configuration and alert rules.",
        (Piece("prometheus.yml", "prometheus.yml"), Piece("rules.yml", "workbench-rules.yml")),
        "promtool check config prometheus.yml && prometheus --config.file=prometheus.yml",
    ),
    "grafana": Target(
        "A dashboard over the server's metrics.",
        (Piece("grafana.json", "workbench-dashboard.json"),),
        "import it in Grafana, with a Prometheus data source",
    ),
    "dvc": Target(
        "Stages for DVC: dvc repro trains what has changed.",
        (Piece("dvc.yaml", "dvc.yaml"), Piece("params.yaml", "params.yaml")),
        "dvc repro; dvc metrics show",
    ),
}


def template(name: str) -> str:
    """The text of a template that came with workbench."""
    return (resources.files("workbench.deploy") / _TEMPLATES / name).read_text(encoding="utf-8")


def filled(text: str, facts: Facts) -> str:
    """The text with every `@fact@` in place; KeyError for a word that is no fact."""
    values = words(facts)
    return _PLACE.sub(lambda place: values[place[1]](), text)


def words(facts: Facts) -> Mapping[str, Callable[[], str]]:
    """What templates may name, each quoted for where it stands.

    `yaml_…` is a double-quoted scalar, valid in JSON and TOML too; `unit_…` is quoted for systemd.
    """
    return {
        "name": lambda: re.sub(r"[^\w .,()-]", "", facts.name),
        "slug": lambda: facts.slug,
        "host": lambda: facts.host,
        "port": lambda: str(facts.port),
        "metrics_port": lambda: str(facts.metrics_port),
        "proxy_network": lambda: "127.0.0.1" if facts.socket is None else "unix",
        "nginx_upstream": lambda: (
            f"{_reached(facts)}:{facts.port}" if facts.socket is None else nginx_word(f"unix:{facts.socket}")
        ),
        "caddy_upstream": lambda: (
            f"{_reached(facts)}:{facts.port}" if facts.socket is None else caddy_word(f"unix/{facts.socket}")
        ),
        "unit_listen": lambda: (
            f"--host {facts.host} --port {facts.port}"
            if facts.socket is None
            else f"--socket {unit_word(str(facts.socket))}"
        ),
        "unit_socket_folder": lambda: _socket_folder(facts),
        "image": lambda: facts.image,
        "uid": lambda: str(facts.uid),
        "gid": lambda: str(facts.gid),
        "user": lambda: facts.user,
        "yaml_name": lambda: yaml_text(facts.name),
        "yaml_model_uri": lambda: yaml_text(f"models:/{facts.model}/Production"),
        "yaml_requirement": lambda: yaml_text(facts.requirement),
        "yaml_image": lambda: yaml_text(facts.image),
        "json_title": lambda: json_text(f"workbench · {facts.name}"),
        "shell_requirement": lambda: shell_word(facts.requirement),
        "unit_root": lambda: unit_path(str(facts.root)),
        "unit_root_word": lambda: unit_word(str(facts.root)),
        "dvc_stages": lambda: facts.dvc_stages,
        "dvc_parameters": lambda: facts.dvc_parameters,
        "unit_command": lambda: unit_word(facts.command),
    }


def _reached(facts: Facts) -> str:
    """The address that this machine reaches the server at."""
    if ":" in facts.host:
        return "[::1]" if facts.host == "::" else f"[{facts.host}]"
    return "127.0.0.1" if facts.host == "0.0.0.0" else facts.host


def _socket_folder(facts: Facts) -> str:
    """Lines of a hardened unit that let the server make its socket where the project isn't."""
    socket = facts.socket
    if socket is None or socket.is_relative_to(facts.root):
        return ""
    if len(socket.parts) > 3 and socket.is_relative_to("/run") and not socket.is_relative_to("/run/user"):
        return f"RuntimeDirectory={unit_word(socket.parts[2])}\n"
    return f"ReadWritePaths={unit_word(str(socket.parent))}\n"
