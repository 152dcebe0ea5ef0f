#!/usr/bin/env python3
"""Asks a model one question over Ollama's API and prints the answer as it streams.

usage: ask.py URL MODEL QUESTION
Exit code 0 only if at least one word came back and the answer ended in order.
"""
import json
import sys
import urllib.request

url, model, question = sys.argv[1:4]
request = urllib.request.Request(
    url + "/api/generate",
    data=json.dumps({"model": model, "prompt": question, "options": {"num_predict": 80}}).encode(),
    headers={"Content-Type": "application/json"},
)
words, last = 0, {}
with urllib.request.urlopen(request, timeout=300) as response:
    for line in response:
        last = json.loads(line)
        if "error" in last:
            sys.exit(f"the server says: {last['error']}")
        piece = last.get("response", "")
        words += bool(piece.strip())
        print(piece, end="", flush=True)
print()
if not last.get("done") or not words:
    sys.exit("the answer did not end in order")
seconds = last.get("eval_duration", 0) / 1e9
if seconds:
    print(f"({last['eval_count']} tokens, {last['eval_count'] / seconds:.0f} a second)")
