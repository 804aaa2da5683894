# shellcheck shell=bash
# What the scripts share. Sourced, not run. Callers set -euo pipefail first.

# The checkout.
root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() {
	printf '%s\n' "$*"
}

warn() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	warn "$*"
	exit 1
}

# as_root COMMAND...: directly when we are root, else through sudo, which must not ask for anything.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -n -- "$@"
	else
		warn "needs root (or sudo) for: $*"
		return 1
	fi
}

# packages_of GROUP...: the names from scripts/packages.
packages_of() {
	local group
	for group in "$@"; do
		awk -v group="$group" '$1 == group { print $2 }' "$root_dir/scripts/packages"
	done
}

# missing_of GROUP...: those of them that are not installed.
missing_of() {
	local name group groups=()
	for group in "$@"; do
		[ "$group" != node ] || ! command -v npm >/dev/null || continue
		groups+=("$group")
	done
	for name in $(packages_of "${groups[@]}"); do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
			printf '%s\n' "$name"
		fi
	done
}

# install_missing GROUP...: installs what is not there, and asks the network for nothing when all is.
#
# (The group node is there when npm is on PATH, wherever from.)
#
# Debian's mosquitto package starts a broker on port 1883, now and at each boot, nginx a web server on port 80, HAProxy itself. Who
# asks for a chat server in a build folder has not asked for that, so: if the package is not there yet, its service is
# neither started nor enabled. If it is there, it is somebody's and stays exactly as it is, running or not.
install_missing() {
	local missing name new_services=()
	command -v dpkg-query >/dev/null || die "this is not Debian; the packages it needs are listed in scripts/packages"
	mapfile -t missing < <(missing_of "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing: ${missing[*]}"
	(
		set +e
		log=$(mktemp)
		policy=/usr/sbin/policy-rc.d
		rubbish=("$log")
		trap 'as_root rm -f "${rubbish[@]}"' EXIT
		trap 'exit 130' INT TERM HUP
		for name in mosquitto nginx haproxy; do
			case " ${missing[*]} " in
			*" $name "*) new_services+=("$name") ;;
			esac
		done
		if [ ${#new_services[@]} -gt 0 ] && [ ! -e $policy ]; then
			rubbish+=("$policy")
			refuse_services $$ "${new_services[@]}" | as_root tee $policy >/dev/null
			as_root chmod 755 $policy
		fi
		as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 ||
			warn "apt-get update failed; trying with the package lists that are there"
		as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
			apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
			install --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1 || {
			tail -n 40 "$log" >&2
			die "could not install: ${missing[*]}"
		}
		for name in "${new_services[@]}"; do
			command -v systemctl >/dev/null || break
			as_root systemctl --quiet disable "$name.service" >/dev/null 2>&1
			say "Debian's $name service came along; it is not enabled (systemctl enable --now $name does that)"
		done
		exit 0
	)
}

# refuse_services PROCESS NAME...: a policy-rc.d(8) that says no to these services alone, and only while that process
# lives, should it be killed before it takes the file away again.
refuse_services() {
	local process=$1 name refused=
	shift
	for name; do
		refused+="${refused:+ | }$name | $name.service"
	done
	cat <<-END
		#!/bin/sh
		# Made by mosquitto-chat for the time of one apt-get run; may be removed.
		kill -0 $process 2>/dev/null || exit 0
		for word; do
			case \$word in
			$refused) exit 101 ;;
			esac
		done
		exit 0
	END
}

# configure_and_build FOLDER CMAKE-ARGUMENT...: everything in FOLDER, which may be left over from anything.
configure_and_build() {
	local folder=$1 fresh=()
	shift
	# A checkout that was copied or moved brings along a cache that speaks of elsewhere.
	if [ -f "$folder/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root_dir" "$folder/CMakeCache.txt"; then
		fresh=(--fresh)
	fi
	cmake "${fresh[@]}" -S "$root_dir" -B "$folder" "$@" && cmake --build "$folder" --parallel "$(nproc)"
}

# node_modules FOLDER [FROM]: what tests take from npm, in FOLDER/node_modules, exactly as FROM/package-lock.json says
# (tests/node of the checkout).
node_modules() {
	local folder=$1 from=${2:-$root_dir/tests/node} file stale=no
	mkdir -p "$folder"
	for file in package.json package-lock.json; do
		cmp -s "$from/$file" "$folder/installed/$file" || stale=yes
	done
	[ $stale = yes ] || return 0
	rm -rf "$folder/installed"
	cp "$from/package.json" "$from/package-lock.json" "$folder/"
	npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error || return
	mkdir "$folder/installed"
	cp "$folder"/package.json "$folder"/package-lock.json "$folder/installed/"
}

# sources: our C files, one a line.
sources() {
	(
		cd "$root_dir" && find "$PWD"/common "$PWD"/plugin "$PWD"/bridge "$PWD"/ctrl "$PWD"/tests "$PWD"/bench \
			-name '*.[ch]' -not -path '*/build*' | sort
	)
}
