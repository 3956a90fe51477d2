# yolo-wiou from its wheel, without root. For a CPU:
#     docker build -t yolo-wiou .
# For a GPU, on an image that has PyTorch for it already:
#     docker build -t yolo-wiou:cuda --build-arg BASE=pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime .
#     docker run --rm --gpus all --ipc=host --user "$(id -u)" -v "$PWD:/data" yolo-wiou:cuda train data=my.yaml model=yolo11n.pt loss=wiou3
ARG BASE=python:3.12-slim

FROM python:3.12-slim AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

# hadolint ignore=DL3006
FROM ${BASE}
# OpenCV's libraries, in the versions that the base's release has.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# Where the base has PyTorch, this finds it and changes nothing.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# hadolint ignore=DL3013
RUN pip install --no-cache-dir torch torchvision --index-url "${TORCH_INDEX}"
COPY --from=wheel /dist /dist
# hadolint ignore=DL3013
RUN wheel="$(echo /dist/*.whl)" && pip install --no-cache-dir "${wheel}[compare]"

# Any user can run it: --user "$(id -u):$(id -g)", and what it writes into /data is yours.
ENV YOLO_CONFIG_DIR=/tmp MPLCONFIGDIR=/tmp
RUN mkdir --mode=1777 /data
USER 10001
WORKDIR /data
ENTRYPOINT ["yolo-wiou"]
CMD ["checks"]
