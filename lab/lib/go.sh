# Finding a Go that is new enough, or having an older one fetch it.
# shellcheck shell=bash

go_version() { # GO: prints its version, like 1.26.8, or nothing
	(cd / && GOTOOLCHAIN=local "$1" version 2>/dev/null) | sed -n 's/^go version go\([0-9.]*\).*/\1/p'
}

new_enough() { # VERSION
	[ -n "$1" ] && [ "$(printf '%s\n' "$GO_LEAST" "$1" | sort -V | sed -n 1p)" = "$GO_LEAST" ]
}

# Fetches the toolchain as what it is, a module: through the machine's own
# proxy, checked against the sum in `versions`, by whatever old Go there is.
fetch_go() { # OLD-GO
	local arch sum_name json zip module
	case $(uname -m) in
	x86_64) arch=amd64 ;;
	aarch64) arch=arm64 ;;
	*) die "no Go toolchain is named for $(uname -m) in lab/versions" ;;
	esac
	sum_name=GO_SUM_$arch
	module=golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$arch
	mkdir -p "$CACHE/go"
	json=$(cd "$CACHE/go" && GOTOOLCHAIN=local GO111MODULE=on GOFLAGS='' "$1" mod download -json "$module")
	grep -qF "\"Sum\": \"${!sum_name}\"" <<<"$json" || {
		echo "$json"
		echo "the checksum is not the one in lab/versions"
		return 1
	}
	zip=$(sed -n 's/.*"Zip": "\(.*\)".*/\1/p' <<<"$json")
	rm -rf "$CACHE/go/new" "$CACHE/go/$GO_VERSION"
	python3 -m zipfile -e "$zip" "$CACHE/go/new"
	mv "$CACHE/go/new/$module" "$CACHE/go/$GO_VERSION"
	# A module's zip holds no modes.
	chmod +x "$CACHE/go/$GO_VERSION"/bin/* "$CACHE/go/$GO_VERSION"/pkg/tool/*/*
	"$CACHE/go/$GO_VERSION/bin/go" version
}

# Puts a new enough go first in PATH.
need_go() {
	local go old=
	for go in "${LAB_GO:-}" "$(command -v go || true)" /usr/local/go/bin/go "$CACHE/go/$GO_VERSION/bin/go"; do
		[ -x "$go" ] || continue
		if new_enough "$(go_version "$go")"; then
			PATH=$(dirname "$go"):$PATH
			export GOTOOLCHAIN=local
			return
		fi
		old=$go
	done
	[ -n "$old" ] || die "there is no Go at all: run tools/deps lab"
	step "$BUILD_LOG/go.log" "fetching Go $GO_VERSION by means of $old ($(go_version "$old"))" fetch_go "$old"
	PATH=$CACHE/go/$GO_VERSION/bin:$PATH
	export GOTOOLCHAIN=local
	unset GOROOT
}
