# Builds a virtual environment once, then an image with nothing but Python, that environment and what starts it.
#   docker build -t workbench .
#   docker run -v "$PWD:/project" -p 8000:8000 workbench              the server
#   docker run -v "$PWD:/project" workbench train                     any other command
FROM python:3.13-slim AS build
WORKDIR /src
# pip stays outside of what is copied. Dependencies come first: they change less often than the code.
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/workbench
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
 && /opt/pip/bin/pip --python /opt/workbench/bin/python install --no-cache-dir -c constraints.txt -r requirements.txt
COPY workbench workbench
COPY pipelines pipelines
COPY serve serve
COPY store store
RUN /opt/pip/bin/pip --python /opt/workbench/bin/python install --no-cache-dir --no-deps . \
 && cp -r workbench/deploy/image /opt/workbench/image \
# What only tests, compilers and type checkers read in packages, and Arrow's network server, serve no one here.
 && cd /opt/workbench/lib/python*/site-packages \
 && find . -mindepth 2 -depth -type d \( -name tests -o -name test \) -exec rm -rf {} + \
 && find . -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \
         -o -name '*.a' -o -name '*.h' -o -name '*.hpp' \) -delete \
 && rm -rf pyarrow/include pyarrow/*flight*

FROM python:3.13-slim
LABEL org.opencontainers.image.title="workbench" \
      org.opencontainers.image.description="The whole life of a tabular machine-learning model, from a terminal" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --create-home --uid 10001 workbench && mkdir /project && chown workbench:workbench /project
COPY --from=build /opt/workbench /opt/workbench
# Nothing is written outside of the volume and /tmp; fewer arenas of malloc keep threads within a small memory.
ENV PATH=/opt/workbench/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    HOME=/tmp \
    GIT_PYTHON_REFRESH=quiet
USER 10001:10001
WORKDIR /project
VOLUME /project
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-IS", "/opt/workbench/image/healthcheck.py"]
ENTRYPOINT ["sh", "/opt/workbench/image/entrypoint.sh"]
# Listens on 0.0.0.0; without an API key it makes one and prints it once.
CMD ["serve"]
