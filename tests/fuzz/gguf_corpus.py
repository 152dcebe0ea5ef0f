#!/usr/bin/env python3
"""Writes the corpus of the fuzz target gguf: small headers of several architectures.

    tests/fuzz/gguf_corpus.py [DIRECTORY]      (by default corpus/gguf beside this file)
"""
import pathlib
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q",
         I64: "q", F64: "d"}


def header(pairs, version=3, order="<", magic=b"GGUF"):
    length = "I" if version == 1 else "Q"

    def text(value):
        raw = value.encode()
        return struct.pack(order + length, len(raw)) + raw

    def value(kind, what):
        if kind == STRING:
            return text(what)
        if kind == ARRAY:
            items = b"".join(value(what[0], item) for item in what[1])
            return struct.pack(order + "I" + length, what[0], len(what[1])) + items
        return struct.pack(order + CODES[kind], what)

    out = magic + struct.pack(order + "I" + length + length, version, 2, len(pairs))
    for key, kind, what in pairs:
        out += text(key) + struct.pack(order + "I", kind) + value(kind, what)
    return out


def model(name, *pairs):
    tokens = [("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "bc", ""])),
              ("tokenizer.ggml.scores", ARRAY, (F32, [0.5, -1.0, 0.0]))]
    prefixed = [(f"{name}.{key}", kind, what) for key, kind, what in pairs]
    return [("general.architecture", STRING, name)] + prefixed + tokens


LLAMA = model("llama", ("block_count", U32, 2), ("context_length", U32, 4096),
              ("embedding_length", U32, 64), ("feed_forward_length", U32, 172),
              ("attention.head_count", U32, 4), ("attention.head_count_kv", U32, 2))
GEMMA = model("gemma3", ("block_count", U32, 6), ("embedding_length", U32, 64),
              ("attention.head_count", U32, 4), ("attention.key_length", U32, 16),
              ("attention.value_length", U32, 16), ("attention.sliding_window", U32, 512),
              ("attention.sliding_window_pattern", ARRAY, (BOOL, [1, 1, 1, 1, 1, 0])))
MAMBA = model("nemotron_h", ("block_count", U32, 3), ("attention.head_count", U32, 4),
              ("attention.head_count_kv", ARRAY, (I32, [0, 2, 0])), ("ssm.conv_kernel", U32, 4),
              ("ssm.state_size", U32, 16), ("ssm.inner_size", U32, 128),
              ("ssm.group_count", U32, 1), ("feed_forward_length", ARRAY, (I32, [0, 0, 64])))
BERT = model("bert", ("block_count", U64, 2), ("pooling_type", U32, 1),
             ("attention.causal", BOOL, 0), ("embedding_length", U16, 32),
             ("vision.block_count", I64, 3))

FILES = {
    "llama": header(LLAMA),
    "llama-v1": header(LLAMA, version=1),
    "llama-big": header(LLAMA, order=">", magic=b"FUGG"),
    "llama-big-usual-magic": header(LLAMA, order=">"),
    "gemma-v2": header(GEMMA, version=2),
    "nemotron": header(MAMBA),
    "bert-last": header(BERT[::-1]),
    "cut-in-tokens": header(LLAMA)[:-40],
    "cut-before": header(GEMMA)[:150],
    "no-layers": header(model("llama")),
    "nested-array": header([("a", ARRAY, (U8, []))])[:-12] + struct.pack("<IQ", ARRAY, 1),
    "long-claims": header(LLAMA[:1]) + struct.pack("<Q", 1 << 63),
    "magic-alone": b"GGUF",
}

directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                         pathlib.Path(__file__).resolve().parent / "corpus" / "gguf")
directory.mkdir(parents=True, exist_ok=True)
for name, data in FILES.items():
    (directory / name).write_bytes(data)
