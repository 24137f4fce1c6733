# The image of Portcullis: two programs, the libraries that they are linked against, and CA certificates. It
# has no shell. See image/rootfs.
#
#   docker build -t REGISTRY/portcullis:0.1.0 .

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# Without the default feature `demo`: the image contains no demo origin.
RUN cargo build --profile dist --locked --no-default-features --bin portcullis --bin portcullis-operator \
 && image/rootfs /rootfs target/dist/portcullis target/dist/portcullis-operator

FROM scratch
COPY --from=build /rootfs/ /
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/portcullis"]
