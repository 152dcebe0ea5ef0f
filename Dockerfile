# The release image by a container engine; `tools/image` makes the same one without.
#
#   docker build --build-arg VERSION="$(cat VERSION)" -t ollama-operator .
#
# The builder cross-compiles, so `--platform linux/arm64` needs no emulation.
ARG DEBIAN=debian:trixie-slim
FROM --platform=$BUILDPLATFORM $DEBIAN AS build
ARG TARGETARCH

# What changes seldom comes first: the tools and libraries stay in the engine's cache.
COPY tools/static-deps.sh /usr/local/sbin/
RUN static-deps.sh packages "$TARGETARCH"
RUN static-deps.sh libraries "$TARGETARCH"

COPY VERSION meson.build meson_options.txt /src/
COPY src /src/src
COPY tools /src/tools
RUN /src/tools/static-compile.sh /src /build "$TARGETARCH"
RUN /src/tools/check-binary --max-bytes 12000000 /build/ollama-operator

RUN install -D -m 755 /build/ollama-operator /image/ollama-operator && \
	install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt && \
	install -d -m 1777 /image/tmp && \
	echo 'root:x:0:0:root:/root:/bin/false' >/image/etc/passwd && \
	echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/bin/false' >>/image/etc/passwd && \
	echo 'root:x:0:' >/image/etc/group && \
	echo 'nonroot:x:65532:' >>/image/etc/group && \
	echo 'hosts: files dns' >/image/etc/nsswitch.conf

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title=ollama-operator \
	org.opencontainers.image.version=$VERSION \
	org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /image/ /
USER 65532:65532
ENTRYPOINT ["/ollama-operator"]
