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

# in_memory PID: does this process have the plugin, of whichever version, loaded?
in_memory() {
	grep -qF "$plugin" "/proc/$1/maps" 2>/dev/null
}

# in_use: the broker of the service runs with the plugin. Which process that is, systemd knows; without it the pid file
# says so; and where there is none either (mosquitto.conf of Debian 13 names none), it is one of this system (not of a
# container on it) that was started with the service's configuration.
in_use() {
	if [ -d /run/systemd/system ] && pid=$(systemctl show --property MainPID --value mosquitto.service 2>/dev/null); then
		in_memory "$pid"
		return
	fi
	pid=$(cat /run/mosquitto/mosquitto.pid 2>/dev/null) || pid=
	if [ -n "$pid" ] && in_memory "$pid"; then
		return 0
	fi
	for folder in /proc/[0-9]*; do
		if tr '\0' '\n' 2>/dev/null <"$folder/cmdline" | grep -qxF /etc/mosquitto/mosquitto.conf &&
			[ "$(stat --dereference --format %d:%i "$folder/root" 2>/dev/null)" = "$(stat --format %d:%i /)" ] &&
			in_memory "${folder#/proc/}"; then
			return 0
		fi
	done
	return 1
}

# restart_broker: as the system's policy for services allows it. A broker that does not come up is for its
# administrator, not for dpkg.
restart_broker() {
	invoke-rc.d mosquitto restart || say "mosquitto could not be restarted; its log says why"
}
