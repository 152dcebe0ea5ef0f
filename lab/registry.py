#!/usr/bin/env python3
"""A registry of models for tests, that fails when it is told to.

    lab/registry.py --models DIR [--listen HOST:PORT] [--tls CERT KEY] [--rate BYTES]

It serves an Ollama models directory (manifests/<any host>/<namespace>/<model>/
<tag>, blobs/sha256-<hex>), read again for every request, as registry.ollama.ai
does: manifests and blobs with HEAD and Range; a blob's answer is 200 with a
Location, without which stock Ollama refuses to pull.  With port 0 the kernel
chooses; the first line on standard output names the address.

Tests talk to it under /_lab while it runs:

    GET    /_lab/requests    what was asked: a list of {method, path, range,
                             status, sent, ms, fault, agent, authorization}
    DELETE /_lab/requests    forget that
    GET    /_lab/faults      the faults that are waiting
    POST   /_lab/faults      add one: {"kind": K, "match": REGEX, "count": N, ...}
    DELETE /_lab/faults      remove all
    GET    /_lab/settings    see Settings
    PUT    /_lab/settings    change some: {"rate": 1000000, "ranges": false}

A fault hits the next COUNT requests (default 1; -1 for ever) whose "METHOD PATH
RANGE" the regular expression matches (default: all).  Kinds:

    status    answer "status" (500), with "headers" and "body" where given
    truncate  send "after" bytes of the body (default half), then close
    corrupt   flip the byte at "after" (default the middle)
    stall     send "after" bytes (default half), then nothing for "seconds" (60)
    reset     close with RST, before any answer or after "after" bytes
    delay     wait "seconds" (1), then answer as usual
"""

import argparse
import base64
import dataclasses
import glob
import hashlib
import http.server
import json
import os
import re
import secrets
import socket
import ssl
import struct
import sys
import threading
import time

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
KINDS = ("status", "truncate", "corrupt", "stall", "reset", "delay")
CHUNK = 1 << 20


@dataclasses.dataclass
class Settings:
    """What can be changed while the registry runs."""

    rate: float = 0         # bytes a second over all connections; 0: no limit
    ranges: bool = True     # False: Range is ignored and not advertised
    location: str = "self"  # Location of a blob: "self", "none", or the base URL of
                            # another registry, to which GETs are then redirected (307)
    auth: str = ""          # "": none; "token": a bearer token that /token gives to all;
                            # "USER:PASSWORD": a token for those who know these


class Fault:
    def __init__(self, spec):
        self.kind = spec.get("kind")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        self.match = re.compile(spec.get("match", ""))
        self.count = int(spec.get("count", 1))
        self.spec = spec
        self.after = spec.get("after")
        self.seconds = float(spec.get("seconds", 60 if self.kind == "stall" else 1))

    def describe(self):
        return {**self.spec, "count": self.count}


class Registry:
    """All state of one registry; each method may be called from any thread."""

    def __init__(self, models, settings):
        self.models, self.settings = models, settings
        self.lock = threading.Lock()
        self.faults, self.requests, self.tokens = [], [], set()
        self.free_at = 0.0
        self.stopping = threading.Event()

    def take_fault(self, line):
        with self.lock:
            for fault in self.faults:
                if fault.count != 0 and fault.match.search(line):
                    fault.count -= 1 if fault.count > 0 else 0
                    return fault
        return None

    def throttle(self, size):
        """Wait until the shared rate allows `size` more bytes."""
        if self.settings.rate <= 0:
            return
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + size / self.settings.rate
            wait = self.free_at - time.monotonic()
        self.stopping.wait(max(0.0, wait))

    def change(self, values):
        known = {field.name: field.type for field in dataclasses.fields(Settings)}
        for name in values:
            if name not in known:
                raise ValueError(f"no setting is called {name}")
        with self.lock:
            self.settings = dataclasses.replace(self.settings, **values)

    def new_token(self):
        token = secrets.token_hex(16)
        with self.lock:
            self.tokens.add(token)
        return token

    def manifest(self, repository, reference):
        """The bytes of a manifest by tag or by digest, or None."""
        pattern = os.path.join(glob.escape(self.models), "manifests", "*", glob.escape(repository))
        if reference.startswith("sha256:"):
            paths = glob.glob(os.path.join(pattern, "*"))
        else:
            paths = glob.glob(os.path.join(pattern, glob.escape(reference)))
        for path in sorted(paths):
            with open(path, "rb") as file:
                data = file.read()
            if not reference.startswith("sha256:") or reference == digest_of(data):
                return data
        return None

    def blob(self, digest):
        path = os.path.join(self.models, "blobs", digest.replace(":", "-"))
        return path if os.path.isfile(path) else None


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_range(text, size):
    """(first, last) of "bytes=A-B", "bytes=A-" or "bytes=-N"; None: not satisfiable."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if not found or not any(found.groups()):
        return 0, size - 1
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    if int(first) >= size or (last and int(last) < int(first)):
        return None
    return int(first), min(int(last or size - 1), size - 1)


def piece(source, offset, size):
    """A piece of bytes or of an open file."""
    if isinstance(source, bytes):
        return source[offset:offset + size]
    return os.pread(source.fileno(), size, offset)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "lab-registry"
    registry = None     # set by serve()
    scheme = "http"

    def log_message(self, format, *args):   # pylint: disable=redefined-builtin
        pass

    # -- answering ---------------------------------------------------------

    def head(self, status, headers, length):
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def answer(self, status, body=b"", headers=None):
        self.head(status, headers or {}, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)
            self.sent += len(body)

    def answer_json(self, status, value, headers=None):
        self.answer(status, json.dumps(value).encode(),
                    {"Content-Type": "application/json", **(headers or {})})

    def refuse(self, status, code, message, headers=None):
        self.answer_json(status, {"errors": [{"code": code, "message": message}]}, headers)

    def close_hard(self):
        """End the connection with RST in place of FIN."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    # -- one request -------------------------------------------------------

    def handle_request(self):
        self.status = self.sent = 0
        path, _, self.query = self.path.partition("?")
        if path.startswith("/_lab/"):
            self.control(path[len("/_lab/"):])
            return
        start = time.monotonic()
        asked = self.headers.get("Range", "")
        fault = self.registry.take_fault(f"{self.command} {self.path} {asked}".rstrip())
        try:
            self.serve(path, asked, fault)
        except OSError:     # The client has gone; TLS errors are OSErrors too.
            self.close_connection = True
        finally:
            entry = {
                "method": self.command, "path": self.path, "range": asked,
                "status": self.status, "sent": self.sent,
                "ms": round(1000 * (time.monotonic() - start)),
                "fault": fault.kind if fault else "",
                "agent": self.headers.get("User-Agent", ""),
                "authorization": self.headers.get("Authorization", "").split(" ")[0],
            }
            with self.registry.lock:
                self.registry.requests.append(entry)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request

    def serve(self, path, asked, fault):
        if fault and fault.kind == "delay":
            self.registry.stopping.wait(fault.seconds)
        if fault and fault.kind == "reset" and fault.after is None:
            self.close_hard()
            return
        if fault and fault.kind == "status":
            self.fail(fault)
            return
        if path == "/token":
            self.give_token()
            return
        if not self.authorized():
            return
        if path in ("/v2", "/v2/"):
            self.answer(200, b"{}", {"Docker-Distribution-Api-Version": "registry/2.0"})
            return
        found = re.fullmatch(r"/v2/([\w./-]+)/(manifests|blobs)/([\w.:-]+)", path)
        if not found or ".." in path or self.command not in ("GET", "HEAD"):
            self.refuse(404, "NOT_FOUND", "no such route")
        elif found[2] == "manifests":
            self.serve_manifest(found[1], found[3], fault)
        else:
            self.serve_blob(found[3], asked, fault)

    def fail(self, fault):
        status = int(fault.spec.get("status", 500))
        body = fault.spec.get("body")
        headers = fault.spec.get("headers", {})
        if body is None:
            self.refuse(status, "INJECTED", f"the test asked for {status}", headers)
        else:
            self.answer(status, body.encode(), headers)

    def serve_manifest(self, repository, reference, fault):
        data = self.registry.manifest(repository, reference)
        if data is None:
            self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        self.head(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(data)}, len(data))
        if self.command == "GET":
            self.send_body(data, 0, len(data), fault)

    def serve_blob(self, digest, asked, fault):
        path, settings = self.registry.blob(digest), self.registry.settings
        if not path:
            self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        if settings.location == "self":
            headers["Location"] = f"{self.scheme}://{self.headers.get('Host', '')}{self.path}"
        elif settings.location != "none" and self.command == "GET":
            self.answer(307, b"", {"Location": settings.location + self.path})
            return
        size = os.path.getsize(path)
        status, span = 200, (0, size - 1)
        if settings.ranges:
            headers["Accept-Ranges"] = "bytes"
            if asked:
                status, span = 206, parse_range(asked, size)
        if span is None:
            self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        if status == 206:
            headers["Content-Range"] = f"bytes {span[0]}-{span[1]}/{size}"
        length = span[1] - span[0] + 1
        self.head(status, headers, length)
        if self.command == "GET":
            with open(path, "rb") as file:
                self.send_body(file, span[0], length, fault)

    def send_body(self, source, first, length, fault):
        """Send `length` bytes of bytes or a file from `first` on, as the fault wants it."""
        cut = length
        if fault and fault.kind in ("truncate", "stall", "reset", "corrupt"):
            cut = min(length, fault.after if fault.after is not None else length // 2)
        self.wfile.flush()
        self.send_bytes(source, first, cut)
        if not fault or fault.kind not in ("truncate", "stall", "reset", "corrupt"):
            return
        if fault.kind == "corrupt":
            if cut < length:
                self.wfile.write(bytes([piece(source, first + cut, 1)[0] ^ 0xFF]))
                self.send_bytes(source, first + cut + 1, length - cut - 1)
            return
        if fault.kind == "stall":
            self.registry.stopping.wait(fault.seconds)
        if fault.kind == "reset":
            self.close_hard()
        self.close_connection = True

    def send_bytes(self, source, first, length):
        rate = self.registry.settings.rate
        # Some twenty pieces a second.
        step = max(1024, min(CHUNK, int(rate / 20))) if rate > 0 else CHUNK
        plain_file = not isinstance(source, bytes) and self.scheme == "http" and rate <= 0
        done = 0
        while done < length:
            want = min(step, length - done)
            if plain_file:      # The kernel copies: a test of speed measures the client.
                size = os.sendfile(self.connection.fileno(), source.fileno(), first + done, want)
            else:
                data = piece(source, first + done, want)
                size = len(data)
                self.registry.throttle(size)
                self.wfile.write(data)
            if size == 0:
                raise OSError("the file has become shorter")
            done += size
            self.sent += size

    # -- tokens ------------------------------------------------------------

    def authorized(self):
        if not self.registry.settings.auth:
            return True
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer" and token in self.registry.tokens:
            return True
        realm = f"{self.scheme}://{self.headers.get('Host', '')}/token"
        repository = re.sub(r"^/v2/(.+)/(manifests|blobs)/.*", r"\1", self.path)
        self.refuse(401, "UNAUTHORIZED", "authentication required", {
            "WWW-Authenticate": f'Bearer realm="{realm}",service="{self.headers.get("Host", "")}",'
                                f'scope="repository:{repository}:pull"'})
        return False

    def give_token(self):
        wanted = self.registry.settings.auth
        if ":" in wanted:
            known = "Basic " + base64.b64encode(wanted.encode()).decode()
            if self.headers.get("Authorization", "") != known:
                self.refuse(401, "UNAUTHORIZED", "wrong user or password")
                return
        self.answer_json(200, {"token": self.registry.new_token(), "expires_in": 300})

    # -- the test's own side -----------------------------------------------

    def control(self, name):
        registry = self.registry
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if name == "settings" and self.command == "PUT":
                registry.change(json.loads(body))
            elif name == "faults" and self.command == "POST":
                fault = Fault(json.loads(body))
                with registry.lock:
                    registry.faults.append(fault)
            elif name in ("faults", "requests") and self.command == "DELETE":
                with registry.lock:
                    getattr(registry, name).clear()
            elif self.command != "GET" or name not in ("faults", "requests", "settings"):
                raise ValueError("no such control")
        except (ValueError, TypeError, AttributeError, re.error) as error:
            self.answer_json(400, {"error": str(error)})
            return
        with registry.lock:
            value = {"faults": [fault.describe() for fault in registry.faults if fault.count != 0],
                     "requests": list(registry.requests),
                     "settings": dataclasses.asdict(registry.settings)}[name]
        self.answer_json(200, value)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # A client that goes away is no error here; anything else is a bug.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, metavar="DIR")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--rate", type=float, default=0, metavar="BYTES", help="bytes a second")
    options = parser.parse_args()

    host, _, port = options.listen.rpartition(":")
    Handler.registry = Registry(options.models, Settings(rate=options.rate))
    Handler.scheme = "https" if options.tls else "http"
    server = Server((host, int(port)), Handler)
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
        # Why: the handshake belongs to the connection's thread, or one slow
        # client would stop all others.
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    print(f"listening on {Handler.scheme}://{host}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
