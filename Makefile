# Ollama Operator. Two commands matter: `make run` and `make test`; `make help` tells the rest.
CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ollama-operator
# One build directory per clone and kind, outside the clone.
CLONE  := $(shell printf '%s' '$(CURDIR)' | cksum | cut -d' ' -f1)
KIND   := $(if $(SANITIZE),asan,plain)$(if $(filter clang,$(CC)),-clang)
BUILD  ?= $(CACHE)/build/$(CLONE)-$(KIND)
comma := ,
MESON_FLAGS := $(if $(SANITIZE),-Db_sanitize=address$(comma)undefined -Db_lundef=false)

.PHONY: help build unit check integration e2e test run image install.yaml fuzz fmt bench lab clean-lab clean deps

help:
	@echo 'make run              bring up a lab cluster, install the operator, let a model answer'
	@echo 'make run CLUSTER=current   the same on the cluster of your current kubectl context'
	@echo 'make test             all tests, as CI runs them'
	@echo
	@echo 'make build            compile (SANITIZE=1: with ASan and UBSan; CC=clang)'
	@echo 'make unit             unit tests and fuzz corpora, under ASan and UBSan'
	@echo 'make check            rooms, generated files, formatting'
	@echo 'make integration      against a real API server without nodes'
	@echo 'make e2e              on the two-node lab, with a real Ollama'
	@echo 'make fuzz SECONDS=30  libFuzzer on each parser'
	@echo 'make image            the container image, as a tar'
	@echo 'make install.yaml     dist/install.yaml from config/'
	@echo 'make lab, make clean-lab   bring the lab up; end it and leave nothing behind'
	@echo 'make bench MODELS=1000    figures of the manager beside a Go peer and a floor'
	@echo 'make fmt              clang-format'
	@echo 'make clean            remove this clone'"'"'s build directories'

deps:
	@tools/deps build

$(BUILD)/build.ninja: | deps
	@mkdir -p $(BUILD)
	meson setup $(MESON_FLAGS) $(BUILD) . $(if $(wildcard $(BUILD)/build.ninja),--reconfigure)

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

unit:
	@tools/test unit

check:
	@tools/test check

integration:
	@tools/test integration

e2e:
	@tools/test e2e

test:
	@tools/test all

run:
	@CLUSTER='$(CLUSTER)' IMAGE='$(IMAGE)' tools/run

image:
	@tools/deps build image
	@tools/as-root tools/image

install.yaml:
	@tools/render-install

fuzz:
	@tools/deps build test
	@tools/fuzz $(or $(SECONDS),30)

fmt:
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format-19 -i

bench:
	@tools/as-root tools/deps build lab image
	@tools/as-root bench/manager --models $(or $(MODELS),1000) --out docs/benchmarks.md --json $(CACHE)/bench/manager.json

lab:
	@tools/deps lab
	@tools/as-root lab/cluster build
	@tools/as-root lab/cluster up

clean-lab:
	@tools/as-root lab/cluster down
	@tools/as-root lab/check-clean

clean:
	rm -rf $(CACHE)/build/$(CLONE)-*
