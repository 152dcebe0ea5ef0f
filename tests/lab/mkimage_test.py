#!/usr/bin/env python3
"""Tests of tools/mkimage.py: the same input gives the same image, with what was asked for."""

import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "tools" / "mkimage.py"


class MkimageTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.program = self.write("program", "#!/bin/sh\n", 0o700)
        self.text = self.write("text", "text\n", 0o600)

    def write(self, name, content, mode):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def make(self, *options, name="out.tar", epoch=None):
        output = self.directory / name
        env = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
        if epoch is not None:
            env["SOURCE_DATE_EPOCH"] = epoch
        result = subprocess.run([sys.executable, PROGRAM, "-o", output, "-t", "a/b:1", *options],
                                capture_output=True, text=True, env=env)
        self.assertEqual(0, result.returncode, result.stderr)
        return output

    def refused(self, *options):
        output = self.directory / "refused.tar"
        result = subprocess.run([sys.executable, PROGRAM, "-o", output, *options], capture_output=True)
        self.assertNotEqual(0, result.returncode)
        self.assertFalse(output.exists())

    def read(self, path):
        """(manifest entry, configuration, entries of the layer) after checking all digests."""
        with tarfile.open(path) as archive:
            manifest = json.load(archive.extractfile("manifest.json"))[0]
            config = archive.extractfile(manifest["Config"]).read()
            self.assertEqual(manifest["Config"], hashlib.sha256(config).hexdigest() + ".json")
            layer = archive.extractfile(manifest["Layers"][0]).read()
        config = json.loads(config)
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            entries = {entry.name: entry for entry in tar}
        if manifest["Layers"][0].endswith(".tar"):
            self.assertEqual(["sha256:" + hashlib.sha256(layer).hexdigest()], config["rootfs"]["diff_ids"])
        return manifest, config, entries

    def test_same_bytes_whatever_the_files_times_and_modes(self):
        options = ("--file", f"{self.program}:/bin/p", "--file", f"{self.text}:/etc/t")
        first = self.make(*options, name="1.tar").read_bytes()
        os.utime(self.program, (1, 1))
        self.program.chmod(0o755)
        self.text.chmod(0o444)
        self.assertEqual(first, self.make(*options[2:], *options[:2], name="2.tar").read_bytes())

    def test_modes_owners_and_parents(self):
        entries = self.read(self.make(
            "--file", f"{self.program}:/a/b/p", "--file", f"{self.text}:/a/t", "--dir", "/tmp:1777",
            "--dir", "/home/u:700:1000", "--file", f"{self.text}:/u:640:7:8", "--link", "b/p:/a/l"))[2]
        self.assertEqual((0o755, 0), (entries["a/b"].mode, entries["a/b"].uid))
        self.assertEqual((0o755, 0o644), (entries["a/b/p"].mode, entries["a/t"].mode))
        self.assertEqual(0o1777, entries["tmp"].mode)
        self.assertEqual((0o700, 1000, 1000), (entries["home/u"].mode, entries["home/u"].uid, entries["home/u"].gid))
        self.assertEqual((0o640, 7, 8), (entries["u"].mode, entries["u"].uid, entries["u"].gid))
        self.assertEqual("b/p", entries["a/l"].linkname)
        self.assertEqual({0}, {entry.mtime for entry in entries.values()})
        names = list(entries)
        self.assertLess(names.index("a/b"), names.index("a/b/p"))

    def test_configuration(self):
        manifest, config, _ = self.read(self.make(
            "-t", "a/c:2", "--arch", "arm64", "--user", "65532:65532", "--env", "K=V=W",
            "--label", "l=m", "--expose", "80/tcp", "--workdir", "/w",
            "--entrypoint", "/p", "--entrypoint=--flag", "--cmd", '["a","b c"]', epoch="86400"))
        self.assertEqual(["a/b:1", "a/c:2"], manifest["RepoTags"])
        self.assertEqual(("arm64", "1970-01-02T00:00:00Z"), (config["architecture"], config["created"]))
        inner = config["config"]
        self.assertEqual((["/p", "--flag"], ["a", "b c"]), (inner["Entrypoint"], inner["Cmd"]))
        self.assertEqual(("65532:65532", "/w"), (inner["User"], inner["WorkingDir"]))
        self.assertEqual(({"l": "m"}, {"80/tcp": {}}), (inner["Labels"], inner["ExposedPorts"]))
        self.assertIn("K=V=W", inner["Env"])

    def test_tree_keeps_links_and_a_later_file_wins(self):
        self.write("tree/d/one", "1", 0o644)
        (self.directory / "tree/d/link").symlink_to("one")
        (self.directory / "tree/dirlink").symlink_to("d")
        entries = self.read(self.make("--tree", f"{self.directory}/tree:/t",
                                      "--file", f"{self.text}:/t/d/one"))[2]
        self.assertEqual(("one", "d"), (entries["t/d/link"].linkname, entries["t/dirlink"].linkname))
        self.assertEqual(len("text\n"), entries["t/d/one"].size)

    def test_compressed_layer_has_the_digest_of_the_plain_one(self):
        options = ("--file", f"{self.text}:/t")
        plain = self.read(self.make(*options))[1]
        self.assertEqual(plain, self.read(self.make(*options, "--gzip", "1", name="z.tar"))[1])

    def test_what_cannot_be_is_refused(self):
        self.refused("-t", "untagged", "--file", f"{self.text}:/t")
        self.refused("-t", "a:1", "--file", "/no/such/file:/t")
        self.refused("-t", "a:1", "--link", "x:/d", "--file", f"{self.text}:/d/t")
        self.refused("-t", "a:1", "--env", "novalue")
        self.refused("--file", f"{self.text}:/t")


if __name__ == "__main__":
    unittest.main()
