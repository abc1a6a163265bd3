"""Exits with 0 while this container's server answers: the image's HEALTHCHECK, without curl.

Run by `python -IS`, for it is started again every few seconds.
"""

import http.client
import json
import os
import sys
from urllib.parse import urlsplit

try:
    with open(".workbench/run/server.json", encoding="utf-8") as file:  # noqa: PTH123
        url = urlsplit(json.load(file)["url"])
    host, port = url.hostname or "127.0.0.1", url.port or 80
except (OSError, ValueError, KeyError, TypeError):
    host, port = "127.0.0.1", int(os.environ.get("PORT") or 8000)

try:
    connection = http.client.HTTPConnection(host, port, timeout=4)
    connection.request("GET", "/health/live")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"{host}:{port}: {error}")
sys.exit(0 if status == 200 else f"{host}:{port} answered {status}")
