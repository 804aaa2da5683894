# shellcheck shell=bash
# Minimal Debian systems in folders, by debootstrap, for scripts/matrix, scripts/package, tests/package and tests/container.
# Sourced after lib.sh, not run. Needs root. What is mounted is mounted in the caller's namespace: see in_own_namespaces.
#
# Environment: CHAT_MATRIX_ROOTS, where roots are kept that packages have been installed to; CHAT_ROOT_BASES, where one
# archive for each release is kept that new roots are made of, at most a week; CHAT_MATRIX_MIRROR, the Debian archive.

# shellcheck disable=SC2034 # the callers use it
roots=${CHAT_MATRIX_ROOTS:-/var/cache/mosquitto-chat/roots}
bases=${CHAT_ROOT_BASES:-/var/cache/mosquitto-chat/bases}
refresh=no # yes: prepare_root brings the packages up to date, however young they are
net=()     # set where what enter() runs gets a network of its own

# in_own_namespaces COMMAND...: with mounts and processes that end when this script ends, however it ends. The caller's kill
# reaches unshare, whose child gets SIGKILL with it.
in_own_namespaces() {
	local inside
	setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --kill-child=KILL --mount-proc "$@" </dev/null &
	inside=$!
	# shellcheck disable=SC2064 # this process, not one of later
	trap "kill -KILL $inside 2>/dev/null; wait $inside || true; exit 130" INT TERM HUP
	wait "$inside"
}

# debian_mirror: where this machine's apt has Debian's main archive from.
debian_mirror() {
	local uri
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F '|' '$1 == "Debian" && $2 == "Debian" && $3 == "main" { print $4; exit }')
	[ -n "$uri" ] || die "apt knows no Debian archive (apt-get update?); name one in CHAT_MATRIX_MIRROR"
	printf '%s\n' "$uri"
}

# young FILE: it is there, and not older than a week.
young() {
	[ -n "$(find "$1" -mtime -7 2>/dev/null)" ]
}

# make_root RELEASE ROOT: a minimal Debian, complete or not there at all. Its log is ROOT.log.
make_root() {
	local release=$1 root=$2 base=$bases/$1.tar script=/usr/share/debootstrap/scripts/$1 archive rc=0
	archive=${CHAT_MATRIX_MIRROR:-$(debian_mirror)} || return 1
	# A release younger than this machine's debootstrap is installed like its parent.
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	mkdir -p "${root%/*}" "$bases"
	rm -rf "$root.partial"
	(
		flock 8
		if young "$base" && [ "$(cat "$base.archive")" = "$archive" ]; then
			mkdir "$root.partial" && tar -x -C "$root.partial" --numeric-owner -f "$base" 2>"$root.log"
			exit
		fi
		debootstrap --variant=minbase "$release" "$root.partial" "$archive" "$script" >"$root.log" 2>&1 || exit
		rm -f "$root.partial"/var/cache/apt/archives/*.deb "$base.archive"
		tar -c -C "$root.partial" --numeric-owner -f "$base.partial" . && mv "$base.partial" "$base" &&
			printf '%s\n' "$archive" >"$base.archive"
	) 8>"$base.lock" || rc=$?
	if [ $rc -ne 0 ]; then
		tail -n 20 "$root.log"
		rm -rf "$root.partial"
		return 1
	fi
	mv "$root.partial" "$root"
}

# settle_root ROOT: apt there as on this machine, and no package starts a service.
settle_root() {
	local root=$1 file
	for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
		if [ -f "$file" ] && grep -qi proxy "$file"; then
			cp "$file" "$root/etc/apt/apt.conf.d/" || return 1
		fi
	done
	# The lists of testing expire within days, and a mirror that lags is good enough here. Signatures are checked.
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90mosquitto-chat" || return 1
	# A root that a power cut has spoilt is made anew.
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/mosquitto-chat" || return 1
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" || return 1
	chmod 755 "$root/usr/sbin/policy-rc.d" || return 1
}

# enter ROOT COMMAND...: below that root, with an environment that owes nothing to ours.
enter() {
	local root=$1
	shift
	"${net[@]}" chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive CHAT_NO_INSTALL=1 CHAT_TEST_DIR=/src/build-test "$@"
}

# open_root ROOT: what programs in it need of a system, and apt.
open_root() {
	local root=$1
	mount -t proc proc "$root/proc" || return 1
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" || return 1
	mkdir -p "$root/dev/shm" || return 1
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || return 1
	[ -e "$root/dev/fd" ] || ln -s /proc/self/fd "$root/dev/fd" || return 1
	[ -s "$root/etc/hosts" ] || printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts" || return 1
	cp -L /etc/resolv.conf "$root/etc/resolv.conf" || true
	settle_root "$root" || return 1
}

# close_root ROOT
close_root() {
	umount -q "$1"/{dev/shm,tmp,proc} 2>/dev/null || true
}

# prepare_root ROOT GROUP...: opens it and installs the packages of these groups.
prepare_root() {
	local root=$1 stamp=$1/var/lib/mosquitto-chat-refreshed names
	shift
	open_root "$root" || return 1
	mapfile -t names < <(packages_of "$@")
	if [ $refresh = no ] && young "$stamp" && enter "$root" dpkg-query -W "${names[@]}"; then
		return 0
	fi
	enter "$root" apt-get -q update && enter "$root" apt-get -q -y dist-upgrade </dev/null &&
		enter "$root" apt-get -q -y install --no-install-recommends "${names[@]}" </dev/null &&
		enter "$root" apt-get -q clean && touch "$stamp"
}

# copy_tree ROOT: the working tree as it is, without what git ignores.
copy_tree() {
	local root=$1
	rm -rf "$root/src"
	mkdir "$root/src"
	(
		# shellcheck disable=SC2154 # of lib.sh
		cd "$root_dir" || exit
		if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
			git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
				while IFS= read -r -d '' name; do
					[ ! -e "$name" ] || printf '%s\0' "$name"
				done
		else
			find . -path './build*' -prune -o -type f -print0
		fi | tar -c --null -T - -f -
	) | tar -x -C "$root/src" --no-same-owner -f -
}

