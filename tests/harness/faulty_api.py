"""A proxy before a real API server that fails as it is told: what lies between a manager and it.

    api = FaultyApi(cluster, directory)         # api.kubeconfig is for the manager
    rule = api.add("503", r"PATCH .*/deployments/", nth=2)
    ...                                         # the second such request gets a 503
    rule.fired

HTTP/1.1 without TLS on the loopback; to the API server it goes with the test's own rights. One
thread for each connection. A rule's pattern is searched for in "METHOD TARGET", for requests with
a body followed by a newline and the body. Each request is asked of all rules in order; each rule
counts what matches it, and the first that is due decides.

Faults of requests (`WHAT_FAILS`):
    reset       the connection is reset and the request lost
    lost        the request is done, but its answer is cut off in mid-body
    timeout     no answer, until the client gives up
    403 ...     that status, with a Status object; 429 and retry503 with Retry-After: 1
    garbage     200 with a text that is no JSON
    empty       200 with an object that has nothing
    edit        the true answer, as `edit`, a function from bytes to bytes, leaves it

Faults of watches:
    cut         ends after `after` events with a reset; 0: with the head
    end         the same in order
    stall       the head comes, and then not a byte
    replay      after each event the `after` events before it come again
    insert      `text`, a line, comes with the head
"""

import collections
import http.client
import json
import os
import re
import socket
import struct
import threading
import time

REASONS = {403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid",
           429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
WHAT_FAILS = ["reset", "lost", "timeout", "403", "404", "409", "410", "422", "429", "500", "503",
              "retry503", "garbage", "empty"]
WATCH_FAULTS = ("cut", "end", "stall", "replay", "insert")
BODY_MAX = 64 * 1024 * 1024


class Rule:
    """What fails; `fired` counts how often it did, `seen` what matched."""

    def __init__(self, fault, pattern, nth, count, after, text, chance, edit):
        self.fault, self.after, self.text, self.chance = fault, after, text, chance
        self.edit = edit
        self.pattern = pattern
        self._search = re.compile(pattern, re.DOTALL).search
        self._from, self._until = nth, None if count is None else nth + count
        self.seen = self.fired = 0
        self.hit = []

    def is_due(self, text):
        if not self._search(text) or (self.chance is not None and not self.chance()):
            return False
        self.seen += 1
        due = self._from <= self.seen and (self._until is None or self.seen < self._until)
        if due:
            self.fired += 1
            self.hit.append(text.partition("\n")[0])
        return due


class Gone(Exception):
    """The connection is to be closed: by a reset, unless `in_order`."""

    def __init__(self, in_order=False):
        super().__init__()
        self.in_order = in_order


class FaultyApi:
    """The proxy. Threads: any."""

    def __init__(self, cluster, directory):
        self._cluster = cluster
        self._lock = threading.Lock()
        self._rules = []
        self._open = set()
        self.requests = []  # "METHOD TARGET", in order
        self._stopped = False
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self.kubeconfig = os.path.join(directory, f"kubeconfig.{self.port}")
        with open(self.kubeconfig, "w", encoding="utf-8") as out:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "faulty",
                       "clusters": [{"name": "faulty", "cluster": {
                           "server": f"http://127.0.0.1:{self.port}"}}],
                       "users": [{"name": "faulty", "user": {}}],
                       "contexts": [{"name": "faulty",
                                     "context": {"cluster": "faulty", "user": "faulty"}}]}, out)

    # ---- rules ----

    def add(self, fault, pattern, nth=1, count=1, after=0, text=None, chance=None, edit=None):
        """Fails the requests number `nth` to `nth + count - 1` that match; count None: all.

        `chance`: a function that says for each match whether it counts.
        """
        rule = Rule(fault, pattern, nth, count, after, text, chance, edit)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self):
        with self._lock:
            self._rules = []

    def _decide(self, method, target, body):
        text = f"{method} {target}"
        with self._lock:
            self.requests.append(text)
            if body:
                text += "\n" + body.decode(errors="replace")
            for rule in self._rules:
                if rule.is_due(text):
                    return rule
        return None

    # ---- connections ----

    def _listen(self, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._stopped:
                    client.close()
                    continue
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def refuse(self):
        """From now on connections are refused, those that are open are reset."""
        with self._lock:
            self._stopped = True
            doomed = list(self._open)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for client in doomed:
            _end(client)

    def accept_again(self):
        with self._lock:
            self._stopped = False
        self._listener = self._listen(self.port)

    close = refuse

    def cut_all(self):
        """Ends what is open now, in the midst of whatever it is: watches and all."""
        with self._lock:
            doomed = list(self._open)
        for client in doomed:
            _end(client)

    def _serve(self, client):
        upstream = self._cluster.connect(timeout=600)
        reader = client.makefile("rb")
        in_order = False
        try:
            while self._serve_one(client, reader, upstream):
                pass
        except Gone as gone:
            in_order = gone.in_order
        except (OSError, ValueError, http.client.HTTPException):
            pass
        with self._lock:
            self._open.discard(client)
        upstream.close()
        reader.close()
        if not in_order:
            # With nothing to linger for, close() sends a RST.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def _serve_one(self, client, reader, upstream):
        line = reader.readline(65536).split()
        if len(line) != 3:
            return False
        method, target = line[0].decode(), line[1].decode()
        fields = http.client.parse_headers(reader)
        length = int(fields.get("Content-Length") or 0)
        if length > BODY_MAX or fields.get("Transfer-Encoding"):
            raise Gone
        if fields.get("Expect", "").lower() == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = reader.read(length)
        rule = self._decide(method, target, body)
        watches = "watch=true" in target
        if rule and not (watches and rule.fault in WATCH_FAULTS):
            _refuse_request(client, rule, lambda: self._ask(upstream, method, target, fields, body))
            return True
        answer = self._ask(upstream, method, target, fields, body)
        if watches and answer.status == 200:
            _relay_watch(client, answer, rule)
            return True
        text = answer.read()
        _answer(client, answer.status, text, answer.getheaders())
        return True

    def _ask(self, upstream, method, target, fields, body):
        headers = self._cluster.headers(fields.get("Content-Type") or "application/json")
        headers["User-Agent"] = fields.get("User-Agent", "proxy")
        upstream.request(method, target, body=body or None, headers=headers)
        return upstream.getresponse()


def _end(client):
    """Ends a connection that another thread is serving."""
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _wait_for_end(client):
    """Blocks until the client has closed, but for at most two minutes."""
    client.settimeout(120)
    try:
        while client.recv(65536):
            pass
    except OSError:
        pass
    raise Gone


def _answer(client, status, text, headers=()):
    kept = "".join(f"{name}: {value}\r\n" for name, value in headers
                   if name.lower() in ("content-type", "retry-after", "warning"))
    client.sendall(f"HTTP/1.1 {status} X\r\n{kept}Content-Length: {len(text)}\r\n\r\n".encode() +
                   text)


def status_object(code):
    return json.dumps({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": f"made up for a test: {code}", "reason": REASONS[code], "code": code}).encode()


def _refuse_request(client, rule, ask):
    fault = rule.fault
    if fault == "reset":
        raise Gone
    if fault == "timeout":
        _wait_for_end(client)
    if fault == "lost":
        text = ask().read()
        client.sendall(f"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(text)}\r\n\r\n".encode() + text[:len(text) // 2])
        raise Gone
    if fault in ("garbage", "empty"):
        text = {"garbage": b'{"metadata": ', "empty": b"{}"}[fault]
        _answer(client, 200, text, [("Content-Type", "application/json")])
        return
    if fault == "edit":
        answer = ask()
        _answer(client, answer.status, rule.edit(answer.read()), answer.getheaders())
        return
    code = int(fault[-3:])
    headers = [("Content-Type", "application/json")]
    if code == 429 or fault.startswith("retry"):
        headers.append(("Retry-After", "1"))
    _answer(client, code, status_object(code), headers)


def _relay_watch(client, answer, rule):
    """Passes a watch on, line by line; ends with it."""
    fault = rule.fault if rule else None
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n")

    def send(line):
        client.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
    if fault == "stall":
        _wait_for_end(client)
    if fault == "insert":
        send(rule.text.encode() + b"\n")
    if fault == "cut" and rule.after == 0:
        raise Gone
    past = collections.deque(maxlen=rule.after if fault == "replay" else 0)
    passed = 0
    for line in answer:
        if not line.strip():
            continue
        if fault == "cut" and passed == rule.after:
            # In the middle of an event.
            send(line[:len(line) // 2])
            raise Gone
        send(line)
        passed += 1
        if fault == "end" and passed >= rule.after:
            break
        for old in list(past):
            send(old)
        past.append(line)
    client.sendall(b"0\r\n\r\n")
    if fault == "end":
        # The rest of the real watch is not read: this connection cannot be used again.
        raise Gone(in_order=True)
