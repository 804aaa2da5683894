# mosquitto-chat in Debian's own mosquitto. docker-compose.yml runs it; docs/operations.md, "Container", says the rest.
#
#   docker build -t mosquitto-chat .
#   docker run --rm -p 127.0.0.1:8000:8000 -p 127.0.0.1:1883:1883 mosquitto-chat

# The Debian release of both stages: bookworm or trixie. The plugin is built for the broker that it will run in.
ARG DEBIAN=bookworm

FROM debian:${DEBIAN}-slim AS build
COPY scripts/packages /src/scripts/packages
RUN awk '$1 == "build" { print $2 }' /src/scripts/packages > /tools \
    && apt-get update \
    && xargs -a /tools apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN cmake -S /src -B /build -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib -DTESTS=OFF -DBENCH=OFF \
    && cmake --build /build --parallel \
    && DESTDIR=/out cmake --install /build --strip
# The files that ship, for a container; the script of the health check; and the packages that have what was linked,
# whose names differ from release to release.
RUN install -D -m 755 /src/container/health /out/usr/libexec/mosquitto/chat-health \
    && install -D -m 644 /src/LICENSE /out/usr/share/doc/mosquitto-chat/copyright \
    && /src/container/configure /out/mosquitto/config /src/config/mosquitto.conf /src/config/distribuida.conf \
    && /src/container/libraries /out/usr/lib/mosquitto/mosquitto_chat.so \
       /out/usr/libexec/mosquitto/mosquitto-chat-bridge > /libraries

FROM debian:${DEBIAN}-slim
ARG DEBIAN
COPY --from=build /libraries /tmp/libraries
# uid and gid are those of eclipse-mosquitto, so that its volumes fit. Group 0 may write what the broker writes: who
# runs the image with another --user is in that group.
RUN apt-get update \
    && xargs -a /tmp/libraries apt-get install -y --no-install-recommends mosquitto libwebsockets-evlib-uv \
    && apt-get clean \
    && rm -rf /tmp/libraries /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt/* /var/log/*.log \
       /etc/mosquitto /var/lib/mosquitto /var/log/mosquitto \
    && groupmod -g 1883 mosquitto \
    && usermod -u 1883 -g 1883 -d /mosquitto/data mosquitto \
    && install -d -m 755 /mosquitto \
    && install -d -o mosquitto -g root -m 770 /mosquitto/data /mosquitto/log /run/mosquitto
COPY --from=build /out/ /
LABEL org.opencontainers.image.title="mosquitto-chat" \
      org.opencontainers.image.description="A chat server: Eclipse Mosquitto with the mosquitto-chat plugin" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="EPL-2.0 OR BSD-3-Clause" \
      org.opencontainers.image.base.name="debian:${DEBIAN}-slim"
# Not /mosquitto/config: an unnamed volume would keep the old files when the image is replaced.
VOLUME ["/mosquitto/data", "/mosquitto/log"]
EXPOSE 1883 8000
USER 1883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/libexec/mosquitto/chat-health"]
# The broker is process 1, and ends in order at SIGTERM. There is no entrypoint before it: what is written behind the
# image's name runs as it stands (mosquitto -c ..., mosquitto_passwd ...).
CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
