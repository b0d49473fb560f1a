# One recipe for all images; EXTRAS says which of Suti's extras are inside (pyproject.toml). `make images` builds three:
#   suti-light     pipeline, experts-launcher, apprentice-launcher, store-admin    no torch
#   suti-grouping  clustering                                                      no torch
#   suti-models    everything that loads models, and the jobs of both launchers
# Layers, from what changes seldom to what changes often: system, torch with its CUDA libraries, the other libraries, Suti.
# So images that have torch share that layer, and a new Suti is a small download.

FROM python:3.12-slim-bookworm AS uv
RUN pip install --no-cache-dir --root-user-action=ignore "uv>=0.9,<1"

# The lock's versions with their hashes: torch and what only torch wants apart from the rest, so that a change elsewhere
# does not make that layer anew.
FROM uv AS pins
ARG EXTRAS
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY scripts/split_pins.py ./
# Triton compiles kernels for torch.compile, which nobody here calls: a gigabyte.
RUN uv export --quiet --frozen --no-default-groups --no-emit-project --no-emit-package triton --no-annotate --no-header \
        $(printf -- '--extra %s ' $(echo "$EXTRAS" | tr ',' ' ')) > all.txt \
    && mkdir /pins && python split_pins.py all.txt /pins

FROM uv AS wheel
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE NOTICE ./
COPY libs libs
COPY services services
RUN uv build --quiet --wheel --out-dir /wheels

# The toy models are for those who name models (pipeline) and who load them.
FROM uv AS suti
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY --from=wheel /wheels /wheels
ARG EXTRAS
RUN uv pip install --quiet --no-cache --no-deps --target /suti /wheels/*.whl \
    && if [ "$EXTRAS" = clustering ]; then rm -r /suti/suti/toyworld/models; fi

# The image: a virtual environment at /opt/suti. What installs it comes and goes within a layer, so nothing is copied twice.
FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin suti \
    && rm -rf /var/cache/apt/* /var/lib/apt/lists/*
ENV VIRTUAL_ENV=/opt/suti UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
COPY scripts/install_pins.sh /opt/suti-pins/
COPY --from=pins /pins/torch.txt /opt/suti-pins/
RUN sh /opt/suti-pins/install_pins.sh /opt/suti-pins/torch.txt \
    && cd /opt/suti/lib/python3.12/site-packages && rm -rf torch/include nvidia/*/include nvidia/*/lib/*.a
COPY --from=pins /pins/rest.txt /opt/suti-pins/
COPY scripts/prune_packages.py /opt/suti-pins/
RUN sh /opt/suti-pins/install_pins.sh /opt/suti-pins/rest.txt \
    && python3 /opt/suti-pins/prune_packages.py /opt/suti/lib/python3.12/site-packages
COPY --from=suti /suti /opt/suti/lib/python3.12/site-packages
RUN ln -s lib/python3.12/site-packages/suti/toyworld/models /opt/suti/toy-models \
    && pip uninstall --quiet --yes --root-user-action=ignore pip setuptools wheel
# The root file system may be read-only: only /tmp is written to.
ENV PATH=/opt/suti/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp HF_HOME=/tmp/huggingface \
    TOKENIZERS_PARALLELISM=false
ARG EXTRAS
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Suti" \
      org.opencontainers.image.description="Subject-driven text-to-image by apprenticeship learning: ${EXTRAS}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
# No shell in between: signals reach Python. The chart names the module: `python -m suti_pipeline`.
ENTRYPOINT ["python"]
CMD ["-c", "print('name a module: -m suti_pipeline, -m suti_generation ...')"]
