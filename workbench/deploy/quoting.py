"""Values written so that each kind of file reads them back as they were."""

from __future__ import annotations

import json
import shlex


def json_text(value: str) -> str:
    """A string of JSON."""
    return json.dumps(value, ensure_ascii=False)


def yaml_text(value: str) -> str:
    """A double-quoted scalar of YAML, which reads JSON's strings."""
    return json.dumps(value)


def shell_word(value: str) -> str:
    """One word of a shell."""
    return shlex.quote(value)


def unit_path(value: str) -> str:
    """A path that fills the rest of a line in a unit: only specifiers are escaped (systemd.unit(5))."""
    return value.replace("%", "%%")


def unit_word(value: str) -> str:
    """One word of a command line or list in a unit (systemd.syntax(7), systemd.service(5))."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != value or any(c.isspace() or c in "';" for c in value) else value


def nginx_word(value: str) -> str:
    """One word of nginx's configuration, which has no way to write a `$` that is none of its variables'."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def caddy_word(value: str) -> str:
    """One word of a Caddyfile, where only quotes are escaped."""
    return '"' + value.replace('"', '\\"') + '"'
