# The backend alone. PyPI's torch carries CUDA (several GB) and runs on processors too; for a small
# image without a GPU:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t alfa-mix-backend .
# `make container` carries these steps out without an engine. The locks are of this Python.
FROM python:3.13-slim

ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 10001 backend \
    && install -d -m 0700 -o backend -g backend /data
WORKDIR /app

# Every package is in a lock with its hashes, label-studio-ml without its outdated pins among them.
# Another index has torch and torchvision in other builds: these two alone come from it, of the same
# versions, and instead of PyPI's and the CUDA libraries.
COPY requirements.lock requirements-cuda.lock ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-deps --index-url "$TORCH_INDEX" \
            $(grep -oE '^torch(vision)?==[^ ]+' requirements-cuda.lock); \
    else \
        pip install --no-deps --require-hashes -r requirements-cuda.lock; \
    fi \
    && pip install --no-deps --require-hashes -r requirements.lock
COPY LICENSE ./
COPY model_store model_store
COPY backend backend

USER backend
# Downloaded weights last like the checkpoints do.
ENV MODEL_DIR=/data \
    HF_HOME=/data/hub \
    PORT=9090
VOLUME /data
EXPOSE 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=4)"]
# gunicorn and the worker; SIGTERM ends both.
CMD ["python", "-m", "backend", "serve"]
