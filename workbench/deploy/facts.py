"""What templates may say of a project: names, ports, paths and owners, from its settings and this machine."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.deploy import dvc

if TYPE_CHECKING:
    from workbench.settings import Project

DEFAULT_IMAGE = "workbench:latest"
IMAGE_USER = 10001
_HTTP = ("http://", "https://")


@dataclass(frozen=True)
class Facts:
    """Of one project, for templates."""

    name: str
    """As the settings have it."""
    slug: str
    """Fit for host names, units and labels."""
    root: Path
    host: str
    port: int
    socket: Path | None
    """Absolute; the server listens there instead, other than in a container."""
    metrics_port: int
    """Where /metrics is: `admin_port`, where that is set."""
    model: str
    """Registered name of the model that `/predict` answers with; `MODEL` where the project has none."""
    image: str
    requirement: str
    """What `pip install` gets this workbench by."""
    command: str
    """Path of the `workbench` command."""
    user: str
    uid: int
    gid: int
    dvc_stages: str = ""
    dvc_parameters: str = ""


def facts_of(project: Project, *, image: str | None = None) -> Facts:
    """The facts of a project; containers run as the owner of its folder unless that is root."""
    settings = project.settings
    models = [project.model_name(name) for name in settings.pipelines]
    owner = project.root.stat()
    slug = slug_of(settings.project.name)
    return Facts(
        name=" ".join(settings.project.name.split()),
        slug=slug,
        root=project.root.resolve(),
        host=settings.serve.host,
        port=settings.serve.port or 8000,
        socket=(project.root / settings.serve.socket).resolve() if settings.serve.socket else None,
        metrics_port=settings.serve.admin_port or settings.serve.port or 8000,
        model=settings.serve.default or (models[0] if models else "MODEL"),
        image=image or DEFAULT_IMAGE,
        requirement=requirement(),
        command=command(),
        user=user_name(owner.st_uid),
        uid=owner.st_uid or IMAGE_USER,
        gid=owner.st_gid or IMAGE_USER,
        dvc_stages=dvc.stages(project),
        dvc_parameters=dvc.parameters(project),
    )


def slug_of(name: str) -> str:
    """Lower-case letters, digits and single hyphens, at most 40: a DNS label."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if not slug:
        return "workbench"
    return slug if slug[0].isalpha() else f"p-{slug}"


def requirement() -> str:
    """`workbench @ git+URL@COMMIT` where it was installed so, else its version."""
    import json

    distribution = metadata.distribution("workbench")
    with_origin = distribution.read_text("direct_url.json")
    if with_origin:
        origin = json.loads(with_origin)
        vcs = origin.get("vcs_info")
        if vcs:
            return f"workbench @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
        if "archive_info" in origin and origin["url"].startswith(_HTTP):
            return f"workbench @ {origin['url']}"
    return f"workbench=={distribution.version}"


def command() -> str:
    """The `workbench` script of the environment that runs now."""
    beside = Path(sys.executable).with_name("workbench")
    return str(beside) if beside.is_file() and os.access(beside, os.X_OK) else "workbench"


def user_name(uid: int) -> str:
    """Name of an account, or its number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
