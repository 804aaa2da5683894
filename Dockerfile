# mosquitto-chat in Debian 12's mosquitto. Build: docker build -t mosquitto-chat .
# Run: docker run --rm -p 8000:8000 -p 1883:1883 mosquitto-chat
FROM debian:bookworm AS build
RUN apt-get update
COPY scripts/packages /tmp/packages
RUN apt-get install -y --no-install-recommends $(awk '$1 == "build" { print $2 }' /tmp/packages)
COPY . /src
RUN cmake -S /src -B /build -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib -DTESTS=OFF -DBENCH=OFF \
    && cmake --build /build --parallel \
    && DESTDIR=/out cmake --install /build \
    && sed -e 's|^listener 1883 .*|listener 1883 0.0.0.0|' \
           -e 's|^plugin_opt_port .*|&\nplugin_opt_bind_address 0.0.0.0|' /src/config/mosquitto.conf > /out/mosquitto.conf

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends mosquitto libwebsockets17 libwebsockets-evlib-uv \
       libcjose0 libcjson1 libuv1 libssl3 libsqlite3-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr/ /usr/
COPY --from=build /out/mosquitto.conf /etc/mosquitto/mosquitto-chat.conf
RUN mkdir -p /run/mosquitto && chown mosquitto: /run/mosquitto
USER mosquitto
EXPOSE 1883 8000
# In a container everything listens on all of its interfaces; who reaches them is decided by what is published.
CMD ["/usr/sbin/mosquitto", "-c", "/etc/mosquitto/mosquitto-chat.conf"]
