# Building the lab's programs and images. Each is made once for what it is
# made from: a key of all inputs is kept beside it.
# shellcheck shell=bash

# go_program NAME COMPONENT PACKAGE [LDFLAGS]
go_program() {
	local name=$1 dir=$LAB_SRC/components/$2 package=$3 ldflags="-s -w ${4:-}" key
	key=$(key_of "$dir" "package $package" "flags $ldflags")
	if [ -x "$BIN/$name" ] && made "bin-$name" "$key"; then return; fi
	need_go
	step "$BUILD_LOG/$name.log" "building $name (log $BUILD_LOG/$name.log)" \
		go_build "$name" "$dir" "$package" "$ldflags"
	set_made "bin-$name" "$key"
}

go_build() { # NAME DIR PACKAGE LDFLAGS
	mkdir -p "$BIN"
	cd "$2" || return
	# The tags and flags decide what Go's own cache can be used for.
	CGO_ENABLED=0 GOFLAGS=-mod=readonly nice go build -trimpath -buildvcs=false \
		-tags netgo,osusergo -ldflags "$4" -o "$BIN/$1.new" "$3"
	mv "$BIN/$1.new" "$BIN/$1"
}

# Kubernetes takes its version from the linker.
kubernetes_ldflags() {
	local package minor=${KUBERNETES_VERSION#*.}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		printf -- ' -X %s.gitVersion=v%s -X %s.gitMajor=%s -X %s.gitMinor=%s' \
			"$package" "$KUBERNETES_VERSION" "$package" "${KUBERNETES_VERSION%%.*}" "$package" "${minor%.*}"
		printf -- ' -X %s.gitTreeState=clean -X %s.buildDate=1970-01-01T00:00:00Z' "$package" "$package"
	done
}

build_hyperkube() {
	local name
	go_program hyperkube hyperkube . "$(kubernetes_ldflags)"
	for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
		[ "$(readlink "$BIN/$name")" = hyperkube ] || ln -sfn hyperkube "$BIN/$name"
	done
}

# kwok has no behaviour of its own: the stages of its module say how simulated
# nodes and pods live.
build_kwok() {
	local dir file
	go_program kwok kwok sigs.k8s.io/kwok/cmd/kwok
	[ "$BIN/kwok-stages.yaml" -nt "$BIN/kwok" ] && return
	need_go
	dir=$(cd "$LAB_SRC/components/kwok" && go list -mod=readonly -m -f '{{.Dir}}' sigs.k8s.io/kwok)
	for file in "$dir"/kustomize/stage/node/fast/node-*.yaml \
		"$dir"/kustomize/stage/node/heartbeat-with-lease/node-*.yaml \
		"$dir"/kustomize/stage/pod/fast/pod-*.yaml; do
		echo ---
		cat "$file"
	done >"$BIN/kwok-stages.yaml"
}

# image NAME KEY OPTION...: writes $IMAGES/NAME.tar by tools/mkimage.py.
image() {
	local name=$1 key
	key=$(key_of "$REPO/tools/mkimage.py" "made from ${*:2}")
	if [ -f "$IMAGES/$name.tar" ] && made "image-$name" "$key"; then return; fi
	mkdir -p "$IMAGES"
	step "$BUILD_LOG/images.log" "writing the image $name" \
		python3 "$REPO/tools/mkimage.py" -o "$IMAGES/$name.tar" "${@:3}"
	set_made "image-$name" "$key"
}

key_of_made() { cat "$CACHE/keys/$1"; }

build_pause() {
	local key
	key=$(key_of "$LAB_SRC/components/pause")
	if [ -x "$BIN/pause" ] && made bin-pause "$key"; then return; fi
	mkdir -p "$BIN"
	step "$BUILD_LOG/pause.log" "building pause" \
		gcc -Wall -Wextra -Os -static -s -o "$BIN/pause" "$LAB_SRC/components/pause/pause.c"
	set_made bin-pause "$key"
}

build_images() {
	local arch
	arch=$(dpkg --print-architecture)
	image pause "$(key_of_made bin-pause)" --arch "$arch" -t lab.local/pause:1 \
		--file "$BIN/pause:/pause" --entrypoint /pause
	image busybox "$(sha256sum /bin/busybox)" --arch "$arch" -t lab.local/busybox:1 \
		-t docker.io/library/busybox:latest --accounts --busybox \
		--dir /tmp:1777 --dir /root:700 --cmd sh
	image coredns "$(key_of_made bin-coredns)" --arch "$arch" -t lab.local/coredns:1 \
		--file "$BIN/coredns:/coredns" --entrypoint /coredns
	image local-path-provisioner "$(key_of_made bin-local-path-provisioner)" --arch "$arch" \
		-t lab.local/local-path-provisioner:1 --dir /tmp:1777 \
		--file "$BIN/local-path-provisioner:/local-path-provisioner" \
		--entrypoint /local-path-provisioner
}

# All that `cluster up` needs. Nothing is done twice.
build_cluster() {
	build_hyperkube
	go_program coredns coredns .
	go_program local-path-provisioner hyperkube github.com/rancher/local-path-provisioner
	build_pause
	build_images
}
