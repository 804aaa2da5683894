#!/bin/sh
# Of the package mosquitto-chat. This part is the same in prerm and postinst (package/common.sh of the source).
set -e

plugin=/usr/lib/mosquitto/mosquitto_chat.so
active=/etc/mosquitto/conf.d/chat.conf
aside=$active.disabled-by-removal

say() {
	echo "mosquitto-chat: $*" >&2
}

# loads_plugin FILE: does this configuration of the broker load the plugin?
loads_plugin() {
	grep -qE '^[[:space:]]*(plugin|global_plugin|auth_plugin|plugin_load[[:space:]]+[^[:space:]]+)[[:space:]].*mosquitto_chat\.so' "$1" 2>/dev/null
}

# in_use: the broker of the service runs with the plugin, of whichever version, loaded.
in_use() {
	pid=
	[ ! -r /run/mosquitto/mosquitto.pid ] || pid=$(cat /run/mosquitto/mosquitto.pid)
	if [ -z "$pid" ] && [ -d /run/systemd/system ]; then
		pid=$(systemctl show --property MainPID --value mosquitto.service 2>/dev/null) || pid=
	fi
	[ -n "$pid" ] && grep -qF "$plugin" "/proc/$pid/maps" 2>/dev/null
}

# restart_broker: as the system's policy for services allows it. A broker that does not come up is for its
# administrator, not for dpkg.
restart_broker() {
	invoke-rc.d mosquitto restart || say "mosquitto could not be restarted; its log says why"
}
