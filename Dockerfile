# relman as an image, for CI jobs: `docker run IMAGE status -e production`. BASE is a Debian with Python 3.11 or later.
ARG BASE=python:3.11-slim
FROM ${BASE} AS base
# A base that has both needs no mirror.
RUN command -v git && command -v ssh || { apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends git openssh-client \
  && rm -rf /var/lib/apt/lists/*; }
ENV PATH=/opt/relman/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/relman

FROM base AS wheel
COPY requirements-dev.lock /src/
RUN sed -n '/^setuptools==/,/^    #/p' /src/requirements-dev.lock >/src/setuptools.lock \
  && pip install -q --require-hashes -r /src/setuptools.lock
COPY . /src
RUN pip wheel -q --no-deps --no-build-isolation -w /dist /src

FROM base AS relman
LABEL org.opencontainers.image.title="relman" \
  org.opencontainers.image.description="A deployment-aware release manager for Docker containers on your own hosts" \
  org.opencontainers.image.licenses="Apache-2.0"
COPY requirements.lock /opt/relman/
RUN pip install -q --require-hashes -r /opt/relman/requirements.lock
COPY --from=wheel /dist /opt/relman/dist
RUN pip install -q --no-deps --no-index /opt/relman/dist/*.whl \
  && useradd --uid 1000 --create-home relman && install -d -o relman -g relman /work
USER relman
WORKDIR /work
HEALTHCHECK NONE
ENTRYPOINT ["relman"]
CMD ["--help"]

# The image with its developers' packages and its sources added, for what `make check` runs.
FROM relman AS tests
USER root
COPY --chown=relman . /src
RUN chown relman /src && pip install -q --require-hashes -r /src/requirements-dev.lock
USER relman
WORKDIR /src
ENTRYPOINT []

FROM relman
