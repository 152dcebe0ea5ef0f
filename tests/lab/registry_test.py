#!/usr/bin/env python3
"""Tests of lab/registry.py: what other tests rely on when it says that it failed."""

import hashlib
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "lab" / "registry.py"
BLOB = bytes(i * 7 % 251 for i in range(300_000))
DIGEST = "sha256:" + hashlib.sha256(BLOB).hexdigest()
BLOB_PATH = f"/v2/library/m/blobs/{DIGEST}"
MANIFEST_PATH = "/v2/library/m/manifests/1b"


def make_models(directory):
    blobs = directory / "blobs"
    blobs.mkdir()
    (blobs / DIGEST.replace(":", "-")).write_bytes(BLOB)
    manifest = directory / "manifests/registry.ollama.ai/library/m/1b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"schemaVersion":2}')


class RegistryTest(unittest.TestCase):
    tls = False

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        models = pathlib.Path(self.directory.name)
        make_models(models)
        command = [sys.executable, str(PROGRAM), "--models", str(models)]
        if self.tls:
            self.cert = str(models / "cert.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=DNS:localhost", "-days", "1",
                            "-keyout", str(models / "key.pem"), "-out", self.cert],
                           check=True, capture_output=True)
            command += ["--tls", self.cert, str(models / "key.pem")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def connect(self):
        if self.tls:
            context = ssl.create_default_context(cafile=self.cert)
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, path, headers=None, body=None):
        """One request on a connection of its own: (status, headers, body)."""
        connection = self.connect()
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def get(self, path=BLOB_PATH, **headers):
        return self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def control(self, method, name, value=None):
        body = None if value is None else json.dumps(value)
        status, _, answer = self.ask(method, "/_lab/" + name, body=body)
        self.assertEqual(200, status, answer)
        return json.loads(answer)

    def fault(self, **spec):
        return self.control("POST", "faults", spec)

    def test_blob_is_whole_and_names_its_location(self):
        status, headers, body = self.get()
        self.assertEqual((200, BLOB), (status, body))
        self.assertTrue(headers["Location"].endswith(BLOB_PATH))
        self.assertEqual("bytes", headers["Accept-Ranges"])

    def test_head_has_the_length_and_no_body(self):
        status, headers, body = self.ask("HEAD", BLOB_PATH)
        self.assertEqual((200, str(len(BLOB)), b""), (status, headers["Content-Length"], body))

    def test_manifest_by_tag_and_by_digest(self):
        status, headers, body = self.get(MANIFEST_PATH)
        self.assertEqual(200, status)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        self.assertEqual(digest, headers["Docker-Content-Digest"])
        self.assertEqual(body, self.get(f"/v2/library/m/manifests/{digest}")[2])

    def test_unknown_things_are_404(self):
        for path in ("/v2/library/m/manifests/no", "/v2/library/no/manifests/1b", "/no",
                     "/v2/library/m/blobs/sha256:" + 64 * "0", "/v2/../x/manifests/1b"):
            self.assertEqual(404, self.get(path)[0], path)

    def test_ranges(self):
        size = len(BLOB)
        for asked, first, last in (("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19),
                                   (f"bytes={size - 5}-", size - 5, size - 1),
                                   ("bytes=-7", size - 7, size - 1),
                                   (f"bytes=100-{size + 100}", 100, size - 1)):
            status, headers, body = self.get(Range=asked)
            self.assertEqual((206, BLOB[first:last + 1]), (status, body), asked)
            self.assertEqual(f"bytes {first}-{last}/{size}", headers["Content-Range"])
        self.assertEqual(416, self.get(Range=f"bytes={size}-")[0])

    def test_without_ranges_the_whole_blob_comes(self):
        self.control("PUT", "settings", {"ranges": False})
        status, headers, body = self.get(Range="bytes=10-19")
        self.assertEqual((200, BLOB, None), (status, body, headers["Accept-Ranges"]))

    def test_location_can_be_left_out_or_lead_elsewhere(self):
        self.control("PUT", "settings", {"location": "none"})
        self.assertIsNone(self.get()[1]["Location"])
        self.control("PUT", "settings", {"location": "http://cdn.test"})
        status, headers, _ = self.get()
        self.assertEqual((307, "http://cdn.test" + BLOB_PATH), (status, headers["Location"]))

    def test_status_fault_counts_and_matches(self):
        self.fault(kind="status", status=429, headers={"Retry-After": "3"}, match="GET .*blobs", count=2)
        self.assertEqual(200, self.get(MANIFEST_PATH)[0])
        self.assertEqual("3", self.get()[1]["Retry-After"])
        self.assertEqual(429, self.get()[0])
        self.assertEqual(200, self.get()[0])
        self.assertEqual([], self.control("GET", "faults"))

    def test_fault_for_ever_until_it_is_removed(self):
        self.fault(kind="status", status=503, count=-1)
        self.assertEqual([503] * 4, [self.get()[0] for _ in range(4)])
        self.control("DELETE", "faults")
        self.assertEqual(200, self.get()[0])

    def test_fault_of_one_range(self):
        self.fault(kind="status", status=500, match="bytes=10-19$")
        self.assertEqual(206, self.get(Range="bytes=0-9")[0])
        self.assertEqual(500, self.get(Range="bytes=10-19")[0])

    def test_truncated_body(self):
        self.fault(kind="truncate", after=1000)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.get()
        self.assertEqual(BLOB[:1000], caught.exception.partial)

    def test_corrupted_body_differs_in_one_byte(self):
        self.fault(kind="corrupt", after=1234)
        body = self.get()[2]
        self.assertEqual([1234], [i for i, byte in enumerate(body) if byte != BLOB[i]])
        self.assertEqual(BLOB, self.get()[2])

    def test_reset_before_and_within_an_answer(self):
        self.fault(kind="reset")
        with self.assertRaises(ConnectionError):
            self.get()
        self.fault(kind="reset", after=1000)
        with self.assertRaises((ConnectionError, http.client.IncompleteRead, ssl.SSLError)):
            self.get()

    def test_stall_and_delay_take_their_time(self):
        self.fault(kind="stall", seconds=0.4)
        start = time.monotonic()
        with self.assertRaises(http.client.IncompleteRead):
            self.get()
        self.assertGreaterEqual(time.monotonic() - start, 0.4)
        self.fault(kind="delay", seconds=0.3)
        start = time.monotonic()
        self.assertEqual(BLOB, self.get()[2])
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_rate(self):
        self.control("PUT", "settings", {"rate": 1_000_000})
        start = time.monotonic()
        self.assertEqual(BLOB, self.get()[2])
        self.assertGreaterEqual(time.monotonic() - start, 0.25)

    def test_token_that_anyone_gets(self):
        self.control("PUT", "settings", {"auth": "token"})
        status, headers, _ = self.get()
        self.assertEqual(401, status)
        self.assertIn('scope="repository:library/m:pull"', headers["WWW-Authenticate"])
        token = json.loads(self.get("/token")[2])["token"]
        self.assertEqual(BLOB, self.get(Authorization="Bearer " + token)[2])
        self.assertEqual(401, self.get(Authorization="Bearer wrong")[0])

    def test_token_for_a_password(self):
        self.control("PUT", "settings", {"auth": "me:secret"})
        self.assertEqual(401, self.get("/token")[0])
        self.assertEqual(401, self.get("/token", Authorization="Basic bWU6d3Jvbmc=")[0])
        answer = self.get("/token", Authorization="Basic bWU6c2VjcmV0")
        token = json.loads(answer[2])["token"]
        self.assertEqual(200, self.get(Authorization="Bearer " + token)[0])

    def test_log_of_requests(self):
        self.get(Range="bytes=0-9", User_Agent="tester")
        self.fault(kind="status", status=500)
        self.get(MANIFEST_PATH)
        # The entry is written after the answer, so it may come a moment later.
        while len(log := self.control("GET", "requests")) < 2:
            pass
        self.assertEqual(("GET", BLOB_PATH, "bytes=0-9", 206, 10, "", "tester"), tuple(
            log[0][name] for name in ("method", "path", "range", "status", "sent", "fault", "agent")))
        self.assertEqual((500, "status"), (log[1]["status"], log[1]["fault"]))
        self.assertEqual([], self.control("DELETE", "requests"))

    def test_wrong_control_is_refused(self):
        for method, name, body in (("POST", "faults", '{"kind":"bogus"}'), ("POST", "faults", "x"),
                                   ("PUT", "settings", '{"no":1}'), ("GET", "no", None),
                                   ("POST", "faults", '{"kind":"reset","match":"("}')):
            self.assertEqual(400, self.ask(method, "/_lab/" + name, body=body)[0], (name, body))


class TlsRegistryTest(RegistryTest):
    tls = True


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    unittest.main()
