# What the scripts of tools/ share: steps with their time, and the end of a failed one.
# shellcheck shell=bash disable=SC2034

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ollama-operator
LOGS=$CACHE/log
OPERATOR_IMAGE_TAR=$CACHE/out/ollama-operator-image.tar
mkdir -p "$LOGS"

say() { printf '%s\n' "$*"; }
die() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

seconds_since() { # MS: "12.3 s"
	local ms=$(($(date +%s%3N) - $1))
	printf '%d.%01d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# step NAME WHAT COMMAND...: says what begins, runs it with its output in a log, says how long it
# took; a failure shows the log's end and its place.
step() {
	local log=$LOGS/$1.log what=$2 from rc=0
	shift 2
	printf '%-58s' "$what ..."
	from=$(date +%s%3N)
	"$@" >"$log" 2>&1 || rc=$?
	if [ $rc = 0 ]; then
		printf ' %8s\n' "$(seconds_since "$from")"
		return
	fi
	printf ' FAILED after %s\n' "$(seconds_since "$from")"
	tail -n 15 "$log" | sed 's/^/  | /' >&2
	die "$what: status $rc; the whole log is $log"
}
