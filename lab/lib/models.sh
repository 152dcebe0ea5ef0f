# Ollama's server image and a small model for it.
# shellcheck shell=bash

build_ollama() { :; }
build_smollm2() { :; }
