# What every script of the lab uses: places, messages, steps, waiting.
# shellcheck shell=bash disable=SC2034

LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO=$(dirname "$LAB_SRC")

# All that the lab keeps lies in LAB_HOME. bin, images, models and cache
# survive `cluster down`; state and log do not.
: "${LAB_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/ollama-operator/lab}"
BIN=$LAB_HOME/bin
IMAGES=$LAB_HOME/images
MODELS=$LAB_HOME/models
CACHE=$LAB_HOME/cache
STATE=$LAB_HOME/state
LOG=$LAB_HOME/log
BUILD_LOG=$CACHE/log
PKI=$STATE/pki
# Sockets need short paths: the kernel takes 107 bytes.
RUN=/run/oo-lab

# Networks. The nodes have no way out of them.
: "${LAB_NET:=10.201.0}"      # the bridge: .1 is the host, .11, .12, ... the nodes
: "${LAB_PODS:=10.202}"       # node N owns LAB_PODS.N.0/24
: "${LAB_SERVICES:=10.203}"   # services: LAB_SERVICES.0.0/16
BRIDGE=oo-br0
HOST_IP=$LAB_NET.1
DNS_IP=$LAB_SERVICES.0.10
REGISTRY_PORT=5001

# shellcheck source=versions
. "$LAB_SRC/versions"

export LAB_HOME KUBECONFIG=${LAB_KUBECONFIG:-$LAB_HOME/kubeconfig}
export PATH=$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH

say() { printf 'lab: %s\n' "$*"; }
die() {
	printf 'lab: FAIL: %s\n' "$*" >&2
	exit 1
}
now_ms() { date +%s%3N; }
node_ip() { echo "$LAB_NET.$((10 + $1))"; }

# step LOG WHAT COMMAND...: runs a command with its output in LOG, and prints
# one line: what is done, and how long it took or why it failed.
step() {
	local log=$1 what=$2 start rc=0
	shift 2
	mkdir -p "$(dirname "$log")"
	printf 'lab: %s ... ' "$what"
	start=$(now_ms)
	printf -- '--- %s: %s\n' "$(date -u +%FT%TZ)" "$what" >>"$log"
	# Why: in a subshell of its own, as errexit is off in anything whose status
	# a condition asks for.
	set +e
	(
		set -e
		"$@"
	) >>"$log" 2>&1
	rc=$?
	set -e
	printf '%s%d.%01d s\n' "$([ $rc = 0 ] || echo 'FAILED after ')" \
		$((($(now_ms) - start) / 1000)) $((($(now_ms) - start) % 1000 / 100))
	[ $rc = 0 ] && return
	tail -n 12 "$log" | sed 's/^/lab:   | /' >&2
	die "$what (status $rc); the whole log is $log"
}

# wait_for SECONDS WHAT COMMAND...: repeats the command until it succeeds, the
# time is over, or its status is 99, which says that waiting is in vain.
wait_for() {
	local end=$(($(date +%s) + $1)) what=$2 out rc
	shift 2
	while :; do
		rc=0
		out=$("$@" 2>&1) || rc=$?
		[ $rc != 0 ] || return 0
		if [ $rc = 99 ] || [ "$(date +%s)" -ge "$end" ]; then
			printf '%s\n' "$out"
			echo "gave up waiting for $what"
			return 1
		fi
		sleep 0.1
	done
}

# put FILE: standard input becomes the file, unless it is the same already:
# kube-proxy ends when its configuration is written, even with the same bytes.
put() {
	cat >"$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: it makes namespaces, mounts and cgroups"; }

# key_of FILE-OR-TEXT...: one checksum of files, directories and words.
key_of() {
	local what
	for what in "$@"; do
		if [ -d "$what" ]; then
			(cd "$what" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
		elif [ -f "$what" ]; then
			sha256sum <"$what"
		else
			echo "word $what"
		fi
	done | sha256sum | cut -d' ' -f1
}

# made NAME KEY: is what $CACHE/keys calls NAME already made from this KEY?
made() { [ "$(cat "$CACHE/keys/$1" 2>/dev/null)" = "$2" ]; }
set_made() {
	mkdir -p "$CACHE/keys"
	echo "$2" >"$CACHE/keys/$1"
}

# locked COMMAND...: one build at a time, for tests that start side by side.
locked() {
	local lock
	mkdir -p "$CACHE"
	exec {lock}>"$CACHE/lock"
	flock "$lock"
	"$@"
	exec {lock}>&-
}
