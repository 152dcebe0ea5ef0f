#!/bin/sh
# static-compile.sh SOURCE BUILD [ARCH]
#
# Runs INSIDE a Debian trixie root that tools/static-deps.sh has prepared: compiles the project in
# SOURCE (which is not written to) into the directory BUILD and leaves the stripped release binary
# there as BUILD/ollama-operator. A BUILD that exists is brought up to date.
#
# One source gives the same bytes wherever it lies: paths are mapped away, and the compiler, the
# libraries and the flags are those of the root.
set -eu

SOURCE=${1:?source directory}
BUILD=${2:?build directory}
NATIVE=$(dpkg --print-architecture)
ARCH=${3:-$NATIVE}
PREFIX=/opt/static/$ARCH
export LC_ALL=C.UTF-8 TZ=UTC

# Why b_pie=false: it adds -pie to the link, which cancels the -static-pie of -Dstatic=true. That
# option compiles everything as -fPIE, which the room's archives would lose to meson's -fPIC.
strip=/usr/bin/strip
set -- -Dstatic=true -Dtests=false -Dbuildtype=release -Doptimization=2 -Db_pie=false \
	-Db_staticpic=false -Db_sanitize=none \
	-Dc_args="-ffile-prefix-map=$SOURCE=. -ffile-prefix-map=$BUILD=build"
if [ "$ARCH" = "$NATIVE" ]; then
	export PKG_CONFIG_PATH="$PREFIX/lib/pkgconfig"
else
	set -- "$@" --cross-file "$PREFIX/cross.ini"
	strip=$(sed -n "s/^strip = '\(.*\)'/\1/p" "$PREFIX/cross.ini")
fi

if [ -e "$BUILD/meson-private/coredata.dat" ]; then
	meson setup --reconfigure "$BUILD" "$SOURCE" "$@"
else
	meson setup "$BUILD" "$SOURCE" "$@"
fi
# -k 0: this compiler is newer than the one of the daily build, so show all that it minds at once.
ninja -C "$BUILD" -k 0 -j "${JOBS:-2}"

binary=$(find "$BUILD/src" -name ollama-operator -type f | head -n 1)
[ -n "$binary" ] || { echo "static-compile.sh: the build made no ollama-operator" >&2; exit 1; }
"$strip" -o "$BUILD/ollama-operator" "$binary"
