"""Models, and what they lead to, as these tests speak of them."""

from harness.cluster import condition_of, field
from harness.wait import NotYet


# The garbage collector learns of a new kind of owner, as Models are, within half a minute.
GARBAGE_S = 75


def model(name, image="phi", **spec):
    return {"apiVersion": "ollama.ayaka.io/v1", "kind": "Model", "metadata": {"name": name},
            "spec": {"image": image, **spec}}


def make(t, name, image="phi", **spec):
    return t.cluster.create("models", t.namespace, model(name, image, **spec))


def child_name(name):
    return "ollama-model-" + name


def find_children(t, name):
    """(Deployment, Service) of a Model once both exist: a condition for wait_until."""
    found = tuple(t.cluster.find(kind, t.namespace, child_name(name))
                  for kind in ("deployments", "services"))
    if None in found:
        raise NotYet(f"{name} has " + " and ".join(
            f"{'no ' if thing is None else 'a '}{kind}"
            for kind, thing in zip(("Deployment", "Service"), found)))
    return found


def owner_uid(thing):
    return field(thing, "metadata", "ownerReferences", 0, "uid")


def server_of(deployment):
    return field(deployment, "spec", "template", "spec", "containers", 0, default={})


def environment_of(deployment):
    """Name -> value (or the whole entry where it has valueFrom) of the server container."""
    return {entry["name"]: entry.get("value", entry) for entry in server_of(deployment)["env"]}


def fetch_arguments(deployment):
    return field(deployment, "spec", "template", "spec", "initContainers", 0, "args", default=[])


def condition(t, name, kind):
    """(status, reason, message) of a Model's condition."""
    found = condition_of(t.cluster.get("models", t.namespace, name), kind)
    return found["status"], found["reason"], found["message"]


def events_of(t, name):
    """(type, reason, message) of the Events about a Model."""
    return [(event["type"], event["reason"], event["message"])
            for event in t.cluster.list("events", t.namespace)
            if event["involvedObject"]["kind"] == "Model" and event["involvedObject"]["name"] == name]
