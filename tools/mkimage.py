#!/usr/bin/env python3
"""Write a container image as a docker-archive tar, without a container engine.

    tools/mkimage.py -o operator.tar -t ollama-operator:dev --user 65532:65532 \\
        --file build/ollama-operator:/manager --entrypoint /manager --ca

`ctr images import`, `docker load`, `podman load` and skopeo's
`docker-archive:` take the result.  The image has one uncompressed layer whose
entries are sorted by path and whose owners, modes and times depend on the
options alone, so the same files and options give the same bytes on every
machine: no gzip, whose output changes between versions of zlib, unless asked
for.  A later option wins over an earlier one that names the same path; parent
directories appear by themselves (0755, root).

SOURCE_DATE_EPOCH, when set, becomes the image's creation time (default 0).
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Entry:
    """One path of the layer: a directory, a symbolic link or a file's bytes."""

    def __init__(self, kind, mode, uid=0, gid=0, source=None, data=None, target=""):
        self.kind, self.mode, self.uid, self.gid = kind, mode, uid, gid
        self.source, self.data, self.target = source, data, target

    def write(self, tar, name):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid = self.kind, self.mode, self.uid, self.gid
        info.linkname = self.target
        if self.kind != tarfile.REGTYPE:
            tar.addfile(info)
        elif self.data is not None:
            info.size = len(self.data)
            tar.addfile(info, io.BytesIO(self.data))
        else:
            with open(self.source, "rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                tar.addfile(info, file)


class Layer:
    """A file tree in memory; only paths of file contents are held, not the bytes."""

    def __init__(self):
        self.entries = {}

    def add(self, path, entry):
        name = os.path.normpath("/" + path).lstrip("/")
        if not name:
            raise ValueError("the root directory needs no entry")
        for parent in parents(name):
            self.entries.setdefault(parent, Entry(tarfile.DIRTYPE, 0o755))
        self.entries[name] = entry

    def add_file(self, source, path, mode=None, uid=0, gid=0):
        if not os.path.isfile(source):
            raise ValueError(f"no file {source}")
        if mode is None:
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.add(path, Entry(tarfile.REGTYPE, mode, uid, gid, source=source))

    def add_data(self, path, text):
        self.add(path, Entry(tarfile.REGTYPE, 0o644, data=text.encode()))

    def add_link(self, target, path):
        self.add(path, Entry(tarfile.SYMTYPE, 0o777, target=target))

    def add_tree(self, root, path):
        if not os.path.isdir(root):
            raise ValueError(f"no directory {root}")
        for folder, dirs, files in os.walk(root):
            below = os.path.join(path, os.path.relpath(folder, root))
            for name in files + [d for d in dirs if os.path.islink(os.path.join(folder, d))]:
                source, target = os.path.join(folder, name), os.path.join(below, name)
                if os.path.islink(source):
                    self.add_link(os.readlink(source), target)
                else:
                    self.add_file(source, target)

    def write(self, file):
        """Write the layer's tar, parents before children."""
        for name in self.entries:
            for parent in parents(name):
                if self.entries[parent].kind != tarfile.DIRTYPE:
                    raise ValueError(f"/{name} would lie below /{parent}, which is no directory")
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in sorted(self.entries, key=lambda n: n.split("/")):
                self.entries[name].write(tar, name)


def parents(name):
    parts = name.split("/")[:-1]
    return ["/".join(parts[: k + 1]) for k in range(len(parts))]


def add_busybox(layer, binary):
    """A shell and its tools: the static busybox and a link for each applet."""
    layer.add_file(binary, "/bin/busybox", 0o755)
    applets = subprocess.run([binary, "--list"], check=True, capture_output=True, text=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            layer.add_link("busybox", "/bin/" + applet)


def add_accounts(layer):
    layer.add_data("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
                   "nonroot:x:65532:65532:nonroot:/home/nonroot:/bin/false\n")
    layer.add_data("/etc/group", "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n")
    layer.add_data("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")


def fields(text, least, most):
    """Split SRC:DST[:MODE[:UID[:GID]]] and read the numbers at its end."""
    parts = text.split(":")
    if not least <= len(parts) <= most or not all(parts[:least]):
        raise ValueError(f"cannot read '{text}'")
    rest = parts[least:]
    mode = int(rest[0], 8) if rest and rest[0] else None
    uid = int(rest[1]) if len(rest) > 1 else 0
    gid = int(rest[2]) if len(rest) > 2 else uid
    return parts[:least], mode, uid, gid


def build_layer(options):
    layer = Layer()
    if options.accounts:
        add_accounts(layer)
    if options.busybox:
        add_busybox(layer, options.busybox)
    if options.ca:
        layer.add_file(os.path.realpath(options.ca), CA_BUNDLE, 0o644)
    for text in options.dir:
        (path,), mode, uid, gid = fields(text, 1, 4)
        layer.add(path, Entry(tarfile.DIRTYPE, 0o755 if mode is None else mode, uid, gid))
    for text in options.tree:
        (root, path), *_ = fields(text, 2, 2)
        layer.add_tree(root, path)
    for text in options.file:
        (source, path), mode, uid, gid = fields(text, 2, 5)
        layer.add_file(source, path, mode, uid, gid)
    for text in options.link:
        (target, path), *_ = fields(text, 2, 2)
        layer.add_link(target, path)
    return layer


def words(values):
    """Arguments given one by one, or as one JSON array."""
    if len(values) == 1 and values[0].startswith("["):
        return json.loads(values[0])
    return values


def created():
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def image_config(options, diff_id):
    config = {"Env": [PATH] + options.env, "WorkingDir": options.workdir}
    optional = {
        "User": options.user,
        "Entrypoint": words(options.entrypoint),
        "Cmd": words(options.cmd),
        "Labels": dict(label.split("=", 1) for label in options.label),
        "ExposedPorts": {port: {} for port in options.expose},
    }
    config.update({key: value for key, value in optional.items() if value})
    return {
        "architecture": options.arch,
        "os": "linux",
        "created": created(),
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff_id]},
        "history": [{"created": created(), "created_by": "tools/mkimage.py"}],
    }


def sha256_of(file):
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def compress(plain, level):
    packed = tempfile.TemporaryFile()
    plain.seek(0)
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=level, mtime=0) as out:
        shutil.copyfileobj(plain, out, 1 << 20)
    return packed


def put(tar, name, size, file):
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    file.seek(0)
    tar.addfile(info, file)


def put_json(tar, name, value):
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    put(tar, name or hashlib.sha256(data).hexdigest() + ".json", len(data), io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def write_archive(options, layer):
    """Write the archive beside its final name and rename it: no half images."""
    with tempfile.TemporaryFile() as plain:
        layer.write(plain)
        diff_id = sha256_of(plain)
        blob = compress(plain, options.gzip) if options.gzip else plain
        blob_name = sha256_of(blob) + (".tar.gz" if options.gzip else ".tar")
        partial = options.output + ".partial"
        with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar:
            image_id = put_json(tar, None, image_config(options, diff_id))
            put(tar, blob_name, os.fstat(blob.fileno()).st_size, blob)
            put_json(tar, "manifest.json", [{
                "Config": image_id + ".json", "RepoTags": options.tag, "Layers": [blob_name]}])
        os.replace(partial, options.output)
    return image_id


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-o", "--output", required=True, metavar="TAR")
    add("-t", "--tag", action="append", required=True, metavar="NAME:TAG")
    add("--arch", default="amd64", help="amd64 (default), arm64, ...")
    add("--user", default="", metavar="UID[:GID]")
    add("--workdir", default="/")
    add("--gzip", type=int, default=0, metavar="LEVEL", help="compress the layer")
    add("--ca", nargs="?", const=CA_BUNDLE, metavar="FILE", help="add a bundle of CA certificates")
    add("--busybox", nargs="?", const="/bin/busybox", metavar="BINARY", help="add a shell and tools")
    add("--accounts", action="store_true", help="add /etc/passwd, group, nsswitch.conf")
    for name, metavar, text in (
            ("dir", "PATH[:MODE[:UID[:GID]]]", "add a directory"),
            ("tree", "DIR:PATH", "add all files and links below DIR"),
            ("file", "SOURCE:PATH[:MODE[:UID[:GID]]]", "add a file; 0755 if executable, else 0644"),
            ("link", "TARGET:PATH", "add a symbolic link"),
            ("env", "NAME=VALUE", "set a variable"),
            ("label", "KEY=VALUE", "set a label"),
            ("expose", "PORT/tcp", "name a port"),
            ("entrypoint", "WORD", "one word, or all as a JSON array"),
            ("cmd", "WORD", "one word, or all as a JSON array")):
        add("--" + name, action="append", default=[], metavar=metavar, help=text)
    options = parser.parse_args(argv)
    for tag in options.tag:
        if not re.fullmatch(r"[\w.:/-]+:[\w.-]+", tag):
            parser.error(f"'{tag}' is no NAME:TAG")
    for name in ("env", "label"):
        for text in getattr(options, name):
            if "=" not in text:
                parser.error(f"--{name} '{text}' holds no '='")
    return options


def main(argv):
    options = parse(argv)
    try:
        image_id = write_archive(options, build_layer(options))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"mkimage: {error}", file=sys.stderr)
        return 1
    print(f"sha256:{image_id} {options.tag[0]} {os.path.getsize(options.output)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
