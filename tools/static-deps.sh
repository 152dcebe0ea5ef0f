#!/bin/sh
# static-deps.sh packages|libraries|all [ARCH]
#
# Runs INSIDE a Debian trixie root (tools/static-root makes one; the Dockerfile's builder is
# another) and gives it what a static release needs:
#
#   packages   compiler, build tools and Debian's own static archives, by apt-get
#   libraries  the two archives that Debian does not ship in the shape we need, both built from
#              Debian's signed sources: libcurl (http, https, HTTP/2, OpenSSL and nothing else)
#              and yyjson (Debian ships only the shared object)
#
# ARCH is a Debian architecture, the root's own by default; another one is cross-built.
# Result: /opt/static/ARCH/{include,lib,lib/pkgconfig} and, for a cross build,
# /opt/static/ARCH/cross.ini for meson. Sources of packages are what apt in this root already has.
set -eu

ACTION=${1:?packages, libraries or all}
NATIVE=$(dpkg --print-architecture)
ARCH=${2:-$NATIVE}
JOBS=${JOBS:-2}
CURL_VERSION=8.14.1
YYJSON_VERSION=0.10.0

case $ARCH in
amd64) TRIPLET=x86_64-linux-gnu CPU=x86_64 ;;
arm64) TRIPLET=aarch64-linux-gnu CPU=aarch64 ;;
*) echo "static-deps.sh: no recipe for architecture $ARCH" >&2; exit 2 ;;
esac
PREFIX=/opt/static/$ARCH
WORK=/var/tmp/static-deps-$ARCH
# -fPIC because the archives end in a static-pie; sections so that the linker can drop the rest.
LIB_CFLAGS="-O2 -fPIC -ffunction-sections -fdata-sections -fstack-protector-strong \
-D_FORTIFY_SOURCE=3 -ffile-prefix-map=$WORK=."
if [ "$ARCH" = "$NATIVE" ]; then CROSS=; else CROSS=$TRIPLET-; fi
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# apt's sources get a deb-src twin of each deb entry, in both of the forms that apt knows.
enable_source_packages() {
	for list in /etc/apt/sources.list.d/*.sources; do
		[ -f "$list" ] || continue
		sed -i 's/^Types:[[:space:]]*deb[[:space:]]*$/Types: deb deb-src/' "$list"
	done
	for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$list" ] || continue
		! grep -q '^deb-src ' "$list" || continue
		sed -n 's/^deb /deb-src /p' "$list" >/tmp/deb-src
		cat /tmp/deb-src >>"$list"
		rm /tmp/deb-src
	done
}

install_packages() {
	enable_source_packages
	libraries="libc6-dev libglib2.0-dev libuv1-dev libssl-dev libllhttp-dev libyaml-dev libzstd-dev \
zlib1g-dev libnghttp2-dev"
	compiler=gcc
	if [ -n "$CROSS" ]; then
		dpkg --add-architecture "$ARCH"
		compiler=gcc-$TRIPLET
		foreign=
		for library in $libraries; do foreign="$foreign $library:$ARCH"; done
		libraries=$foreign
	fi
	apt-get update -q
	# shellcheck disable=SC2086 # a list of package names
	apt-get install -q -y --no-remove --no-install-recommends ca-certificates binutils dpkg-dev make meson \
		ninja-build pkgconf gcc libc6-dev $compiler $libraries
}

# Unpacks the newest source of a package that the mirror really has: mirrors exist that list a
# revision and answer 404 for its files. All candidates come from the signed index. What was taken
# is written to $PREFIX/versions, with a note where it is not the newest.
fetch_source() {
	newest=
	for version in $(apt-cache showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -Vru); do
		newest=${newest:-$version}
		apt-get source -q --only-source "$1=$version" || continue
		if [ "$version" = "$newest" ]; then note=; else note=" (the mirror lacks $newest)"; fi
		echo "$1 $version$note" >>"$PREFIX/versions"
		return 0
	done
	return 1
}

build_curl() {
	mkdir -p "$WORK/curl"
	cd "$WORK/curl"
	# Why never --tar-only here: the .dsc brings Debian's security patches.
	fetch_source curl
	cd "curl-$CURL_VERSION"
	# shellcheck disable=SC2086 # a list of flags
	PKG_CONFIG_LIBDIR=/usr/lib/$TRIPLET/pkgconfig:/usr/share/pkgconfig ./configure -q \
		${CROSS:+--host=$TRIPLET --build=$(dpkg-architecture -qDEB_BUILD_GNU_TYPE)} \
		--prefix="$PREFIX" --disable-shared --enable-static \
		--with-openssl --with-nghttp2 --with-zlib --with-zstd \
		--with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --without-ca-path \
		--without-brotli --without-libpsl --without-libidn2 --without-libssh2 --without-librtmp \
		--without-libgsasl --without-gssapi --without-nghttp3 --without-ngtcp2 \
		--disable-ldap --disable-ldaps --disable-ftp --disable-file --disable-dict \
		--disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb \
		--disable-smtp --disable-gopher --disable-mqtt --disable-rtsp --disable-ipfs \
		--disable-manual --disable-docs --disable-libcurl-option --disable-ntlm \
		--disable-kerberos-auth --disable-negotiate-auth --disable-aws --disable-tls-srp \
		--disable-alt-svc --disable-hsts --disable-cookies --disable-doh --disable-netrc \
		--disable-websockets --enable-threaded-resolver --disable-ares \
		CFLAGS="$LIB_CFLAGS"
	make -s -C lib -j"$JOBS"
	make -s -C lib install
	make -s -C include install
	make -s install-pkgconfigDATA
}

build_yyjson() {
	mkdir -p "$WORK/yyjson"
	cd "$WORK/yyjson"
	# Some mirrors lack the .dsc; the upstream tar alone is checked against the signed index too.
	fetch_source yyjson || {
		apt-get source -q --download-only --tar-only yyjson
		tar xf yyjson_*.orig.tar.*
		echo "yyjson $YYJSON_VERSION (upstream tar)" >>"$PREFIX/versions"
	}
	cd ./*yyjson*/
	# shellcheck disable=SC2086 # a list of flags
	"${CROSS}gcc" $LIB_CFLAGS -c src/yyjson.c -o yyjson.o
	rm -f "$PREFIX/lib/libyyjson.a"
	"${CROSS}ar" rcsD "$PREFIX/lib/libyyjson.a" yyjson.o
	install -m 644 src/yyjson.h "$PREFIX/include/yyjson.h"
	grep -q "YYJSON_VERSION_STRING[[:space:]]*\"$YYJSON_VERSION\"" src/yyjson.h
	cat >"$PREFIX/lib/pkgconfig/yyjson.pc" <<-PC
		prefix=$PREFIX
		includedir=\${prefix}/include
		libdir=\${prefix}/lib

		Name: yyjson
		Description: JSON library
		Version: $YYJSON_VERSION
		Libs: -L\${libdir} -lyyjson
		Cflags: -I\${includedir}
	PC
}

write_cross_file() {
	cat >"$PREFIX/cross.ini" <<-INI
		[binaries]
		c = '$TRIPLET-gcc'
		ar = '$TRIPLET-ar'
		strip = '$TRIPLET-strip'
		pkg-config = 'pkg-config'

		[properties]
		pkg_config_libdir = ['$PREFIX/lib/pkgconfig', '/usr/lib/$TRIPLET/pkgconfig',
		  '/usr/share/pkgconfig']

		[host_machine]
		system = 'linux'
		cpu_family = '$CPU'
		cpu = '$CPU'
		endian = 'little'
	INI
}

build_libraries() {
	rm -rf "$WORK" "$PREFIX"
	mkdir -p "$WORK" "$PREFIX/lib/pkgconfig" "$PREFIX/include"
	build_curl
	build_yyjson
	[ -z "$CROSS" ] || write_cross_file
	for library in libc6-dev libglib2.0-dev libuv1-dev libssl-dev libllhttp-dev libyaml-dev \
		libzstd-dev zlib1g-dev libnghttp2-dev; do
		dpkg-query -W -f '${Package} ${Version}\n' "$library:$ARCH" >>"$PREFIX/versions"
	done
	cd /
	rm -rf "$WORK"
}

case $ACTION in
packages) install_packages ;;
libraries) build_libraries ;;
all) install_packages; build_libraries ;;
*) echo "static-deps.sh: unknown action $ACTION" >&2; exit 2 ;;
esac
