# The daemon in a container: built in one stage, run as nobody in particular in the next.
#
#   docker build -t agent-system:latest .
#   docker run -p 5000:5000 -p 8000:8000 agent-system:latest
#
# Works with a read-only root; all that is written goes to the volume /data:
#   docker run --read-only -v agent-data:/data -p 5000:5000 -p 8000:8000 agent-system:latest

ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY .cargo ./.cargo
# Dependencies first, against an empty crate: they are built again only when the lock file changes.
RUN mkdir -p src benches && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
 && sed -i '/^\[\[bench\]\]/,/^$/d' Cargo.toml \
 && cargo build --release --locked \
 && rm -rf src
COPY Cargo.toml ./
COPY src ./src
COPY config ./config
COPY migrations ./migrations
COPY benches ./benches
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin agent-system

FROM ${RUN_IMAGE}
COPY --from=build /src/target/release/agent-system /usr/local/bin/agent-system
RUN mkdir /data && chown 10001:10001 /data
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV AGENT_SYSTEM_ENV=production \
    AGENT_SYSTEM_DATA_DIR=/data \
    LOG_LEVEL=INFO \
    AGENT_SYSTEM__DATABASE__URL=sqlite:///data/agent-system.db \
    AGENT_SYSTEM__CACHE__BACKEND=memory \
    AGENT_SYSTEM__SERVER__HOST=0.0.0.0 \
    AGENT_SYSTEM__MONITORING__METRICS_HOST=0.0.0.0
EXPOSE 5000 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 \
    CMD agent-system health --ready --quiet || exit 1
ENTRYPOINT ["agent-system"]
CMD ["serve"]
