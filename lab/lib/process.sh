# Starting and ending processes, each in a cgroup of its own.
#
# A process is known by a name. $RUN/NAME.pid holds "PID START-TIME", so a
# number that the kernel has given to another process is never signalled.
# Cgroups lie below /oo-lab, in every v1 hierarchy or in the v2 one.
# shellcheck shell=bash

CGROUP=oo-lab

start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
state_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1; }
pid_of() { cut -d' ' -f1 "$RUN/$1.pid"; }

alive() { # NAME
	local pid started
	read -r pid started 2>/dev/null <"$RUN/$1.pid" || return 1
	[ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && [ "$(state_of "$pid")" != Z ]
}

# The mount points under which the lab makes its cgroups.
hierarchies() {
	local d
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
		echo /sys/fs/cgroup
		return
	fi
	for d in /sys/fs/cgroup/*/; do
		d=${d%/}
		# Controllers mounted together have links beside the mount point;
		# "unified" is v2's, which has no controllers on such a machine.
		[ -L "$d" ] || [ "${d##*/}" = unified ] || [ ! -f "$d/cgroup.procs" ] || echo "$d"
	done
}

# v2 gives a group's children the controllers named in subtree_control; v1's
# cpuset starts empty and takes no process until it is filled.
cgroup_fill() { # PARENT CHILD
	local c f
	if [ -f "$1/cgroup.subtree_control" ]; then
		for c in $(<"$1/cgroup.controllers"); do
			echo "+$c" >"$1/cgroup.subtree_control" ||
				echo "cannot give $2 the controller $c: has $1 processes of its own?" >&2
		done
	fi
	[ -d "$2" ] || mkdir -p "$2"
	for f in cpuset.cpus cpuset.mems; do
		if [ ! -f "$1/cgroup.subtree_control" ] && [ -f "$2/$f" ] && [ -z "$(cat "$2/$f")" ]; then
			cat "$1/$f" >"$2/$f"
		fi
	done
}

cgroup_make() { # PATH
	local h part
	local -a parts
	IFS=/ read -ra parts <<<"$1"
	for h in $(hierarchies); do
		for part in "${parts[@]}"; do
			cgroup_fill "$h" "$h/$part"
			h=$h/$part
		done
	done
}

# start NAME CGROUP COMMAND...: nothing if NAME runs already.
start() {
	local name=$1 group=$2 procs=() h pid
	shift 2
	if alive "$name"; then return; fi
	cgroup_make "$CGROUP/$group"
	for h in $(hierarchies); do procs+=("$h/$CGROUP/$group/cgroup.procs"); done
	mkdir -p "$RUN" "$LOG"
	# shellcheck disable=SC2016 # the inner shell is to expand this
	setsid bash -c '
		for procs in $1; do echo $$ >"$procs" || exit 125; done
		shift
		exec "$@"' "$name" "${procs[*]}" "$@" </dev/null >>"$LOG/$name.log" 2>&1 &
	pid=$!
	echo "$pid $(start_time $pid)" >"$RUN/$name.pid"
	echo "$name: process $pid, log $LOG/$name.log"
}

# running NAME: says why it does not, for a step that waits for NAME.
running() {
	alive "$1" && return
	echo "$1 has ended; the end of $LOG/$1.log:"
	tail -n 8 "$LOG/$1.log"
	return 1
}

# stop NAME [SIGNAL]: and waits; after ten seconds it is killed.
stop() {
	local pid n
	if alive "$1"; then
		pid=$(pid_of "$1")
		kill "-${2:-TERM}" "$pid" 2>/dev/null || true
		for ((n = 0; n < 100; n++)); do
			alive "$1" || break
			sleep 0.1
		done
		if alive "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
	fi
	rm -f "$RUN/$1.pid"
}

# The processes in all of the lab's groups below a path.
cgroup_pids() { # [BELOW]
	local h
	for h in $(hierarchies) /sys/fs/cgroup/unified; do
		[ -d "$h/$CGROUP${1:+/$1}" ] || continue
		find "$h/$CGROUP${1:+/$1}" -name cgroup.procs -exec cat {} + 2>/dev/null || true
	done | sort -un
}

# Ends every process in the groups below a path, whatever started it: pods and
# containerd's shims among them.
cgroup_kill() { # [BELOW]
	local pids n
	for ((n = 0; n < 50; n++)); do
		pids=$(cgroup_pids "${1:-}")
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086 # a list of numbers
		kill -KILL $pids 2>/dev/null || true
		sleep 0.1
	done
	echo "these processes in $CGROUP/${1:-} do not end: $pids"
	return 1
}

cgroup_remove() {
	local h n
	for h in $(hierarchies) /sys/fs/cgroup/unified; do
		# A group stays busy for a moment after its last process has gone.
		for ((n = 0; n < 20; n++)); do
			[ -d "$h/$CGROUP" ] || break
			find "$h/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
		done
	done
}
