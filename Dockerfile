# docker build -t dnr_jax .                                        for CPUs
# docker build -t dnr_jax --build-arg JAX="jax[cuda13]" .          for NVIDIA GPUs, drivers from 580 on; else jax[cuda12]
# docker run --shm-size=8g dnr_jax                                 make demo; on GPUs with --gpus=all
# docker run --shm-size=8g -v DATA:/data -v RUNS:/runs dnr_jax python train.py --config.data.dir=/data --workdir=/runs/1 ...
FROM python:3.12-slim
ARG JAX=jax

RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /dnr_jax
COPY Makefile requirements.txt ./
ENV PIP_NO_CACHE_DIR=1
RUN make .venv/installed \
    && .venv/bin/pip install -r requirements.txt "${JAX}"

COPY . .
ENV PATH="/dnr_jax/.venv/bin:${PATH}"
CMD ["make", "demo"]
