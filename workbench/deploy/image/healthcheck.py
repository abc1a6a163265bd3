"""Exits with 0 while this container's server answers: the image's HEALTHCHECK, without curl.

Run by `python -IS`, for it is started again every few seconds.
"""

import http.client
import json
import os
import socket
import sys
from urllib.parse import unquote, urlsplit

try:
    with open(".workbench/run/server.json", encoding="utf-8") as file:  # noqa: PTH123
        url = urlsplit(json.load(file)["url"])
    path = unquote(url.path) if url.scheme == "unix" else ""
    host, port = url.hostname or "127.0.0.1", url.port or 80
except (OSError, ValueError, KeyError, TypeError):
    path, host, port = "", "127.0.0.1", int(os.environ.get("PORT") or 8000)

try:
    connection = http.client.HTTPConnection(host, port, timeout=4)
    if path:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(4)
        connection.sock.connect(path)
    connection.request("GET", "/health/live")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"{path or f'{host}:{port}'}: {error}")
sys.exit(0 if status == 200 else f"{path or f'{host}:{port}'} answered {status}")
