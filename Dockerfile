# syntax=docker/dockerfile:1
# Builds wheels once, then an image with nothing but Python, workbench and what it needs.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY workbench workbench
COPY pipelines pipelines
COPY serve serve
COPY store store
RUN python -m venv /opt/workbench \
 && /opt/workbench/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 workbench && mkdir /project && chown workbench /project
COPY --from=build /opt/workbench /opt/workbench
ENV PATH=/opt/workbench/bin:$PATH PYTHONUNBUFFERED=1
USER workbench
WORKDIR /project
VOLUME /project
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os,urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8000')}/health/live\", timeout=2)"]
ENTRYPOINT ["workbench"]
# Without an API key it makes one and prints it once.
CMD ["serve", "--host", "0.0.0.0", "--make-key"]
