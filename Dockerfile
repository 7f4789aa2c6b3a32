# The backend alone. PyPI's torch carries CUDA (several GB) and runs on processors too; for a small
# image without a GPU:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t alfa-mix-backend .
FROM python:3.12-slim

ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 10001 backend \
    && install -d -o backend -g backend /data
WORKDIR /app

# The same two steps as in the Makefile; label-studio-ml without its outdated pins.
COPY requirements.txt requirements-label-studio-ml.txt ./
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.txt \
    && pip install --no-deps -r requirements-label-studio-ml.txt
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
