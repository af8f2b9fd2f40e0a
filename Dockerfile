# Three stages: the dependencies alone, so that a change of the sources does not build them again;
# the program; and a small image that holds nothing but the program.

# What they start from, by tag. A tag can be moved; who builds for release pins both by digest:
#
#     docker build --build-arg RUST_IMAGE=rust:1.95.0-slim-trixie@sha256:… \
#                  --build-arg DEBIAN_IMAGE=debian:13.1-slim@sha256:… .
#
# `docker buildx imagetools inspect IMAGE` shows an image's digest.
ARG RUST_IMAGE=rust:1.95.0-slim-trixie
ARG DEBIAN_IMAGE=debian:13.1-slim

FROM ${RUST_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
# Cargo wants the targets to exist; empty ones are enough to build all dependencies. The README is the
# documentation's first page, which nobody reads here.
RUN mkdir -p src \
 && touch README.md src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && sed -i -E '/^\[\[(bench|example|test)\]\]/,/^$/d' Cargo.toml \
 && cargo build --release --locked \
 && rm -rf src
COPY src src
# The sources' times may lie before those of the empty ones.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM ${DEBIAN_IMAGE} AS service
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /build/target/release/chimein /usr/local/bin/chimein
COPY architecture.yaml LICENSE /usr/share/chimein/
ENV CHIMEIN_QUEUE_PATH=/data/chimein.db
VOLUME /data
USER 10001:10001
EXPOSE 3000 9464
HEALTHCHECK --interval=5s --timeout=5s --start-period=5s --retries=10 CMD ["chimein", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["chimein"]
CMD ["serve"]
