# The image of Portcullis: two programs, the libraries that they are linked against, and CA certificates. It
# has no shell. See image/rootfs.
#
#   docker build -t REGISTRY/portcullis:0.1.0 .

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin portcullis --bin portcullis-operator \
 && strip --strip-debug target/release/portcullis target/release/portcullis-operator \
 && image/rootfs /rootfs target/release/portcullis target/release/portcullis-operator

FROM scratch
COPY --from=build /rootfs/ /
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/portcullis"]
