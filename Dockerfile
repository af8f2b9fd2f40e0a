# Three stages: the dependencies alone, so that a change of the sources does not build them again;
# the program; and an image that holds nothing but the program, with the C library inside it.

# What builds it, by tag. A tag can be moved; who builds for release pins it by digest:
#
#     docker build --build-arg RUST_IMAGE=rust:1.95.0-slim-trixie@sha256:… .
#
# `docker buildx imagetools inspect IMAGE` shows an image's digest.
ARG RUST_IMAGE=rust:1.95.0-slim-trixie

FROM ${RUST_IMAGE} AS build
# Rust's slim image has a C compiler, and no make.
RUN command -v make \
 || { apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*; }
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
# The sources' times may lie before those of the empty ones. The C library is linked in, and the table of addresses
# that the start has to set right is packed.
RUN touch src/lib.rs src/main.rs \
 && cargo rustc --release --locked --bin chimein -- \
      -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs
# The image's files, as they are to lie there: its user can write to the volume alone.
COPY architecture.yaml LICENSE /image/usr/share/chimein/
RUN install -D target/release/chimein /image/usr/local/bin/chimein \
 && install --directory --mode=0700 /volume/data

FROM scratch AS service
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /volume /
# There is no /tmp: the demo keeps its passing files in the volume too.
ENV PATH=/usr/local/bin CHIMEIN_QUEUE_PATH=/data/chimein.db TMPDIR=/data
VOLUME /data
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=5s --start-period=5s --retries=10 CMD ["chimein", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["chimein"]
CMD ["serve"]
