# syntax=docker/dockerfile:1
# Rollbook in a container: the binary, no shell, a user that is not root.
#
#   docker build -t rollbook .
#   docker run -p 8080:8080 -v rollbook:/data -e ROLLBOOK_JWT_SECRET=… rollbook
#
# SQLite under /data by default; for PostgreSQL give ROLLBOOK_DATABASE=postgres://… and run
# `docker run … rollbook migrate` before a new version serves.

FROM rust:1.95-slim-trixie AS builder
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY locales ./locales
COPY migrations ./migrations
COPY src ./src
# Cargo.toml names the benchmarks, and cargo wants what it names to be there.
COPY benches ./benches
# The demo serves these pages.
COPY examples/launch ./examples/launch
COPY examples/cmi5 ./examples/cmi5
COPY examples/frontend ./examples/frontend
# Crates and what was compiled of them stay in BuildKit's caches, so that a change of the sources compiles the
# sources alone. The binary is copied out, because a cache is no part of the image. The image's glibc reads packed
# relocations (2.36 or later), which take 2 MB less.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    RUSTFLAGS='-C link-arg=-Wl,-z,pack-relative-relocs' \
    cargo build --locked --profile dist --bin rollbook \
 && install -D target/dist/rollbook /out/rollbook \
 && mkdir /out/data

# glibc, root certificates, time zones and nothing else.
FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="Rollbook" \
      org.opencontainers.image.description="A headless Learning Record Store with an Activity Log" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=builder /out/rollbook /usr/local/bin/rollbook
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/rollbook/
# 65532 is distroless's user nonroot; the folder must be theirs before it becomes a volume.
COPY --from=builder --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
# The C library keeps less freed memory: docs/operations.md, section Memory.
ENV ROLLBOOK_LISTEN=0.0.0.0:8080 \
    ROLLBOOK_DATABASE=sqlite:/data/rollbook.db \
    ROLLBOOK_MAIL_FOLDER=/data/mail \
    MALLOC_ARENA_MAX=2
EXPOSE 8080
# There is no shell and no curl in here: the binary asks its own /health/ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/rollbook", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/rollbook"]
CMD ["serve"]
