# syntax=docker/dockerfile:1
# One static program, the certificate authorities that it believes, and nothing beside: no shell, no libc, no user that is
# root. `scripts/image` lays out the same by hand and tries it, where there is no Docker.
#
#   docker build -t ostracon .
#   docker volume create ostracon
#   docker run --rm -v ostracon:/var/lib/ostracon ostracon init --dir /var/lib/ostracon --issuer https://auth.example
#   docker run -d -v ostracon:/var/lib/ostracon -p 8080:8080 -p 127.0.0.1:8081:8081 ostracon

FROM docker.io/library/rust:1.95-slim-bookworm AS build
RUN apt-get update -q && apt-get install -qy --no-install-recommends ca-certificates make musl-tools
WORKDIR /src
COPY rust-toolchain.toml .
RUN rustup target add "$(uname -m)-unknown-linux-musl"
COPY . .
RUN scripts/release --binary && packaging/image-root /out

FROM scratch
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
# Reachable from outside the container; publish the admin listener to loopback or a private network only.
ENV OSTRACON_LISTEN__PUBLIC=0.0.0.0:8080 OSTRACON_LISTEN__ADMIN=0.0.0.0:8081
VOLUME /var/lib/ostracon
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/ostracon"]
CMD ["serve", "--config", "/var/lib/ostracon/ostracon.toml"]
