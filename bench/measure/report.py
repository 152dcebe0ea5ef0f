"""The table, and the file with all figures."""

import json
import os
import platform
import re
import subprocess

from harness.cluster import TOP

BEGIN, END = "<!-- bench/manager: begin -->", "<!-- bench/manager: end -->"


def machine():
    """What this ran on."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        found = re.search(r"^model name\s*:\s*(.*)$", cpuinfo.read(), re.M)
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        memory_kb = int(re.search(r"MemTotal:\s+(\d+)", meminfo.read()).group(1))
    with open("/etc/os-release", encoding="utf-8") as release:
        system = re.search(r'^PRETTY_NAME="(.*)"', release.read(), re.M).group(1)
    return {"processor": found.group(1) if found else platform.machine(),
            "cores": os.cpu_count(), "memory_gib": round(memory_kb / 1048576, 1),
            "kernel": platform.release(), "system": system}


def versions(operator):
    """Of what was compared, and of what it ran against."""
    def line(*command):
        return subprocess.run(command, cwd=TOP, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout.strip()

    def module(component, name):
        with open(os.path.join(TOP, component, "go.mod"), encoding="utf-8") as go_mod:
            return re.search(rf"^\s*(?:require )?{re.escape(name)} (\S+)", go_mod.read(),
                             re.M).group(1)

    return {"ollama-operator": line(operator, "version").removeprefix("ollama-operator "),
            "commit": line("git", "describe", "--always", "--dirty"),
            "controller-runtime": module("bench/peers/go-controller",
                                         "sigs.k8s.io/controller-runtime"),
            "client-go": module("bench/peers/go-controller", "k8s.io/client-go"),
            "kubernetes": module("lab/components/hyperkube", "k8s.io/kubernetes"),
            "etcd": module("lab/components/hyperkube", "go.etcd.io/etcd/server/v3"),
            "kwok": module("lab/components/kwok", "sigs.k8s.io/kwok")}


def _number(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _memory(figures, name, part="rss"):
    return figures[name][part] / 1024 if name in figures else None


def _requests(figures, name):
    """But for the Lease and for watches, which last."""
    if name not in figures:
        return None
    return sum(count for kind, count in figures[name].items()
               if kind != "lease" and not kind.startswith("watch "))


# Label, unit, and how it comes out of a contender's figures and the number of Models.
ROWS = (
    ("memory, no Model", "MiB", lambda f, n: _memory(f, "memory_empty_kb")),
    ("– of it its own (anonymous)", "MiB", lambda f, n: _memory(f, "memory_empty_kb", "anon")),
    ("memory, all Models Available", "MiB", lambda f, n: _memory(f, "memory_kb")),
    ("– of it its own (anonymous)", "MiB", lambda f, n: _memory(f, "memory_kb", "anon")),
    ("– peak until then", "MiB", lambda f, n: _memory(f, "memory_kb", "peak")),
    ("all Models written", "s", lambda f, n: f.get("models_written_s")),
    ("all children there", "s", lambda f, n: f.get("children_s")),
    ("all Available", "s", lambda f, n: f.get("available_s")),
    ("CPU until then", "s", lambda f, n: f.get("cpu_s")),
    ("API requests per Model", "", lambda f, n: _requests(f, "requests") / n),
    ("API requests a minute, idle", "", lambda f, n: _requests(f, "idle_requests")
     * 60 / f["idle_s"] if "idle_s" in f else None),
    ("CPU a minute, idle", "s", lambda f, n: f["idle_cpu_s"] * 60 / f["idle_s"]
     if "idle_s" in f else None),
    ("spec change → child changed, median", "ms",
     lambda f, n: f["change_ms"]["median"] if "change_ms" in f else None),
    ("start with all Models, until quiet", "s", lambda f, n: f.get("start_s")),
    ("– CPU", "s", lambda f, n: f.get("start_cpu_s")),
    ("– API requests", "", lambda f, n: _requests(f, "start_requests")),
    ("– memory, peak", "MiB", lambda f, n: _memory(f, "memory_start_kb", "peak")),
)


def table(models, runs, titles):
    """Markdown: a row per figure, a column per contender; in brackets the multiple of ours."""
    head = [f"{models:,} Models", *(titles[key] for key in runs)]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * len(runs)]
    for label, unit, value_of in ROWS:
        cells = []
        ours = value_of(runs["ours"], models) if "ours" in runs else None
        for key, figures in runs.items():
            value = value_of(figures, models)
            if value is None:
                cells.append("–")
                continue
            ratio = f" ({_number(value / ours)}×)" if ours and key != "ours" else ""
            cells.append(_number(value) + ratio)
        lines.append(f"| {label}{', ' + unit if unit else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _ratio(runs, key, value_of):
    """Ours as a multiple of another's; None when one of them did not run."""
    if "ours" not in runs or key not in runs or not value_of(runs[key]):
        return None
    return value_of(runs["ours"]) / value_of(runs[key])


def _ours(runs, value_of):
    return value_of(runs["ours"]) if "ours" in runs else None


# What, the bar, and the figure that must not be above it.
BARS = (
    ("memory, no Model, MB", lambda n: 8,
     lambda runs: _ours(runs, lambda f: f["memory_empty_kb"]["rss"] * 1.024e-3)),
    ("memory, all Models Available, MB", {1000: 12, 10000: 64}.get,
     lambda runs: _ours(runs, lambda f: f["memory_kb"]["rss"] * 1.024e-3)),
    ("memory, of the Go peer's without limits", lambda n: 0.2,
     lambda runs: _ratio(runs, "go-unlimited", lambda f: f["memory_kb"]["rss"])),
    ("CPU, of the Go peer's without limits", lambda n: 0.333,
     lambda runs: _ratio(runs, "go-unlimited", lambda f: f["cpu_s"])),
    ("all children there, of the floor's time", lambda n: 1.3,
     lambda runs: _ratio(runs, "floor", lambda f: f["children_s"])),
    ("all Available, of the floor's time", lambda n: 1.3,
     lambda runs: _ratio(runs, "floor", lambda f: f["available_s"])),
    ("requests a minute, idle", lambda n: 0,
     lambda runs: _ours(runs, lambda f: _requests(f, "idle_requests") * 60 / f["idle_s"])),
    ("spec change → child changed, median, ms", lambda n: 20,
     lambda runs: _ours(runs, lambda f: f["change_ms"]["median"])),
)


def bars(models, runs):
    """Ours beside what it is meant to be at most."""
    lines = ["| ollama-operator | bar | measured | |", "|---|---:|---:|---|"]
    for what, bar_of, value_of in BARS:
        bar, value = bar_of(models), value_of(runs)
        if bar is not None and value is not None:
            verdict = "met" if value <= bar else "missed"
            lines.append(f"| {what} | {bar:g} | {value:.3g} | {verdict} |")
    return "\n".join(lines)


def kinds(runs, titles):
    """What the requests were."""
    lines = []
    for key, figures in runs.items():
        listed = ", ".join(f"{count} {kind}" for kind, count in figures["requests"].items())
        refused = figures["requests_refused"]
        more = f"; of them refused: {refused}" if refused else ""
        lines.append(f"- {titles[key]}: {listed}{more}")
    return "\n".join(lines)


def markdown(result):
    where, what = result["machine"], result["versions"]
    parts = [f"{result['date']}, {where['processor']}, {where['cores']} cores, "
             f"{where['memory_gib']} GiB, {where['system']}, Linux {where['kernel']}. "
             + ", ".join(f"{name} {version}" for name, version in what.items())
             + f". Load before: {result['load']}."]
    for models, runs in result["runs"].items():
        parts += ["", table(int(models), runs, result["titles"])]
        if "ours" in runs:
            parts += ["", bars(int(models), runs)]
        parts += ["", "Requests until quiet:", "", kinds(runs, result["titles"])]
    return "\n".join(parts) + "\n"


def write(result, out, json_out):
    """`out`: the whole file, or what lies between the marks of one that has them."""
    text = markdown(result)
    if out:
        old = ""
        if os.path.exists(out):
            with open(out, encoding="utf-8") as file:
                old = file.read()
        if BEGIN in old and END in old:
            before, after = old.split(BEGIN)[0], old.split(END)[1]
            text = f"{before}{BEGIN}\n{text}{END}{after}"
        with open(out, "w", encoding="utf-8") as file:
            file.write(text)
    if json_out:
        with open(json_out, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
