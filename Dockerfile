# The service with everything it needs, a Valkey server too: `docker run -p 8080:8080 -v tokens:/data IMAGE`
# works by itself, and with TOKENS_REDIS_URL and TOKENS_SECRET_KEY_FILE it uses the Redis named there.
# A release pins the base by digest: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/token-service
# Wheels alone, so nothing is compiled here; the file names every package, so nothing else comes along.
COPY deploy/constraints.txt deploy/constraints.txt
RUN python -m pip --python /opt/token-service/bin/python install --no-cache-dir --no-deps --only-binary=:all: \
    --requirement deploy/constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m pip --python /opt/token-service/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && python -m pip --python /opt/token-service/bin/python check

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="token-service" \
      org.opencontainers.image.description="Issues, validates, consumes, rotates and revokes API tokens beside one Redis" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, for a platform that demands a user other than root cannot resolve a name.
RUN install --directory --mode=0700 --owner=10001 --group=10001 /data
COPY --from=build /opt/token-service /opt/token-service
# The prefix of the settings, no secret:
# hadolint ignore=DL3064
ENV PATH=/opt/token-service/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TOKENS_HOST=0.0.0.0 \
    TOKENS_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
# The only place written to: the root may be read-only.
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["token-service", "healthcheck"]
ENTRYPOINT ["token-service"]
CMD ["serve"]
