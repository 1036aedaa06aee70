# Hilum's server, or any verb: `docker build -t hilum .`; see docs/serve.md. For PyTorch's CPU build,
# which is several gigabytes smaller: --build-arg TORCH_INDEX=, the index for "CPU" that PyTorch's
# "Get started" page names; likewise for one version of CUDA.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/hilum \
    && /opt/hilum/bin/pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' requirements.lock)" \
    && /opt/hilum/bin/pip install -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/hilum/bin/pip install --no-deps . && /opt/hilum/bin/pip check

FROM python:${PYTHON}-slim
COPY --from=build /opt/hilum /opt/hilum
# All that is written goes below /tmp, which may be a tmpfs: the rest may be read-only.
ENV PATH=/opt/hilum/bin:$PATH \
    HOME=/tmp \
    HILUM_CACHE=/tmp/hilum \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /work
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["hilum"]
CMD ["serve", "/classifier", "--host", "0.0.0.0", "--token-file", "/run/secrets/token"]
