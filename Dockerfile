# Two images: `worker` (the default, with worker.py and starter.py) and `simulator` (the simulated cloud).
#   docker build --target worker -t cloud-pc-worker .
# Neither writes to its file system, but for /tmp (and /ca of the simulator): run them read-only.

FROM python:3.11.14-slim-bookworm AS python
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/venv/bin:$PATH
WORKDIR /app

FROM python AS worker-packages
COPY requirements-worker.lock .
RUN python -m venv /opt/venv && pip install --require-hashes -r requirements-worker.lock

FROM python AS simulator-packages
# The simulated cloud needs some of the packages for development; one image for demonstrations may have all.
COPY requirements.lock .
RUN python -m venv /opt/venv && pip install --require-hashes -r requirements.lock

FROM python AS simulator
RUN useradd --system --uid 10001 --no-create-home simulator && install -d -o simulator /ca
COPY --from=simulator-packages /opt/venv /opt/venv
COPY simulator simulator
RUN python -m compileall -q .
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001
VOLUME /ca
CMD ["python", "-m", "simulator", "--port", "8443", "--ca-file", "/ca/ca.pem"]

FROM python AS worker
RUN useradd --system --uid 10001 --no-create-home worker
COPY --from=worker-packages /opt/venv /opt/venv
COPY worker.py starter.py ./
COPY compose/worker_health.py compose/
COPY models models
COPY domain domain
COPY contract contract
COPY workflows workflows
COPY activities activities
COPY cloud cloud
COPY examples examples
RUN python -m compileall -q .
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s CMD ["python", "-m", "compose.worker_health"]
CMD ["python", "worker.py"]
