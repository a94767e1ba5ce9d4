"""What schemas do not know: the network is the call graph of the contracts, pods are restricted, and settings are ones that the program has."""

import tomllib

from contracts import call_graph

# Who may come in from outside the namespace, and to what. SMS is for SSO: what it shows to anyone is for development.
EDGE, MONITORING, DATABASE = "plaza-edge", "monitoring", "plaza-database"
INWARD = {"sms"}
POSTGRES = 5432
# Where a collector takes OTLP over gRPC.
OTLP = 4317
# What one PostgreSQL has for those who are no superusers: max_connections less superuser_reserved_connections, by default.
CONNECTIONS = 100 - 3


def broken(documents, root):
    """Every rule that is not kept."""
    kinds = {}
    for document in documents:
        kinds.setdefault(document["kind"], []).append(document)
    pods = kinds.get("Deployment", [])
    if not pods:
        yield "there is no Deployment"
    for pod in pods:
        yield from deployment(pod, kinds, root)
    yield from network(kinds, root)
    yield from connections(pods)
    for secret in kinds.get("Secret", []):
        yield f"Secret {title(secret)}: secrets are referenced, not contained"


def title(document):
    return document["metadata"]["name"]


def deployment(document, kinds, root):
    name, spec = title(document), document["spec"]["template"]["spec"]
    says = lambda rule: f"Deployment {name}: {rule}"
    labels = document["spec"]["template"]["metadata"]["labels"]
    for rule, holds in {
        "no token of its account": spec.get("automountServiceAccountToken") is False,
        "an account of its own": spec.get("serviceAccountName") == name and name in map(title, kinds.get("ServiceAccount", [])),
        "no variables for services": spec.get("enableServiceLinks") is False,
        **restricted(spec.get("securityContext", {})),
    }.items():
        if not holds:
            yield says(rule)
    for kind in ["PodDisruptionBudget"] + ([] if name == "onebox" else ["Service"]):
        if not any(selects(other, labels) for other in kinds.get(kind, [])):
            yield says(f"a {kind}")
    if name != "onebox":
        service = next((other for other in kinds.get("Service", []) if title(other) == name), {"spec": {}})
        if service["spec"].get("clusterIP") != "None":
            yield says("a headless Service of its name: callers balance themselves")
        if not spec.get("topologySpreadConstraints"):
            yield says("spread over nodes")
    for container in spec["containers"]:
        yield from (says(rule) for rule in of_container(container))
        yield from (says(rule) for rule in settings(container, root))
        yield from (says(rule) for rule in ([] if name == "onebox" else proven(name, container, kinds)))
        yield from (says(rule) for rule in ending(name, spec, container, root))


def restricted(context):
    return {
        "not as root": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
        "seccomp: RuntimeDefault": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
    }


def of_container(container):
    context, resources = container.get("securityContext", {}), container.get("resources", {})
    for rule, holds in {
        "no more privileges": context.get("allowPrivilegeEscalation") is False,
        "a root that is read only": context.get("readOnlyRootFilesystem") is True,
        "no capabilities": context.get("capabilities") == {"drop": ["ALL"]},
        "processor and memory requested": {"cpu", "memory"} <= set(resources.get("requests", {})),
        "memory limited, processor not": set(resources.get("limits", {})) == {"memory"},
    }.items():
        if not holds:
            yield rule
    for probe, path in {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}.items():
        asked = container.get(probe, {}).get("httpGet", {})
        if (asked.get("path"), asked.get("port")) != (path, "admin"):
            yield f"{probe} asks {path} of the admin port"


def of_pod(document):
    return variables(document["spec"]["template"]["spec"]["containers"][0])


def variables(container):
    return {variable["name"]: variable.get("value") for variable in container.get("env", [])}


def defaults(name, root):
    """A program's own default.toml, over those sections of mesh's that it names, as mesh::config lays it. Empty if there is no such program."""
    path = root / name / "default.toml"
    own = tomllib.loads(path.read_text()) if path.exists() else {}
    common = tomllib.loads((root / "mesh/default.toml").read_text())
    return {key: common.get(key, {}) | value if isinstance(value, dict) else value for key, value in own.items()}


def settings(container, root):
    """Each variable is a setting of the program: any other would keep it from starting."""
    for variable in variables(container):
        _, _, rest = variable.partition("PLAZA_")
        service, *keys = rest.lower().split("__")
        value = {} if service == "mesh" else defaults(service, root)
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if value == {}:
            yield f"{variable} is no setting of {service}"


def proven(name, container, kinds):
    """Certificates at both ends of each call, and nothing in their stead."""
    said = variables(container)
    setting = lambda key: said.get(f"PLAZA_{name.upper()}__{key}")
    files = {"CERTIFICATE": "/tls/", "KEY": "/tls/", "ROOTS": "/roots/"}
    if not all((setting(f"TLS__{key}") or "").startswith(folder) for key, folder in files.items()):
        yield "a certificate and its key from /tls, and the roots from /roots: beside a certificate comes the one authority that signed it, and two must overlap"
    if setting("KEYS__MESH_FILE") != "":
        yield "no mesh key: whoever has it makes operators' tokens"
    if any(variable.endswith("__TLS__PLAIN_TEXT") for variable in said):
        yield "no plain text"
    served = {f"https://{title(other)}:{port['port']}" for other in kinds.get("Service", []) for port in other["spec"]["ports"] if port["name"] == "grpc"}
    for variable, value in said.items():
        if "__PEERS__" in variable and value not in served:
            yield f"{variable}: {value} is no Service's gRPC port by https"
    uris = [other["spec"].get("uris") for other in kinds.get("Certificate", []) if title(other) == name]
    wanted = f"spiffe://{setting('TLS__TRUST_DOMAIN')}/{name}"
    if uris != [[wanted]]:
        yield f"a Certificate with exactly one URI, {wanted}"


def ending(name, spec, container, root):
    """The grace outlasts the wait for DNS, the drain, and 5 s of closing databases, with as much to spare."""
    asked = variables(container).get(f"PLAZA_{name.upper()}__SERVER__DRAIN_SECONDS")
    drain = int(asked) if asked else defaults(name, root)["server"]["drain_seconds"]
    wait = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if name != "onebox" and not wait:
        yield "a wait before the end, until DNS knows"
    if spec.get("terminationGracePeriodSeconds", 30) < wait + drain + 2 * 5:
        yield f"a termination grace of {wait + drain + 2 * 5} s or more"


def connections(pods):
    """All pods, and as many again that take their places before they have ended, fit into one PostgreSQL."""
    most = 0
    for pod in pods:
        spec, name = pod["spec"], title(pod)
        said = of_pod(pod)
        if f"PLAZA_{name.upper()}__DATABASE_URL" not in said:
            continue
        each = said.get(f"PLAZA_{name.upper()}__DATABASE_CONNECTIONS")
        if each is None:
            yield f"Deployment {name}: says how many connections it keeps"
        most += 2 * spec.get("replicas", 1) * int(each or 0)
    if most > CONNECTIONS:
        yield f"{most} connections are more than the {CONNECTIONS} of one PostgreSQL"


def selects(document, labels):
    selector = document["spec"].get("selector", {})
    wanted = selector.get("matchLabels", selector)
    return bool(wanted) and wanted.items() <= labels.items()


def network(kinds, root):
    """Both ends of every connection are allowed, and nothing else."""
    pods = kinds.get("Deployment", [])
    names = {title(document) for document in pods}
    graph = call_graph(root / "proto")
    wanted = {("in", None, None, None), ("out", None, None, None)}
    if names != {"onebox"}:
        wanted |= {("out", "*", "kube-system", 53)}
        if any(variable.endswith("__TELEMETRY__ENDPOINT") for pod in pods for variable in of_pod(pod)):
            wanted |= {("out", "*", MONITORING, OTLP)}
        for caller, callee in graph.peers:
            wanted |= {("out", caller, callee, "grpc"), ("in", callee, caller, "grpc")}
        for name in names:
            wanted |= {("in", name, MONITORING, "admin"), ("out", name, DATABASE, POSTGRES)}
            if name in graph.public - INWARD:
                wanted.add(("in", name, EDGE, "grpc"))
    allowed = set()
    for policy in kinds.get("NetworkPolicy", []):
        allowed |= set(rows(policy))
    for row in sorted(wanted - allowed, key=str):
        yield f"network: {told(row)} is not allowed, and the call graph wants it"
    for row in sorted(allowed - wanted, key=str):
        yield f"network: {told(row)} is allowed, and the call graph knows nothing of it"


def told(row):
    way, name, other, port = row
    if name is None:
        return f"to deny everything {way}wards by default" if way == "in" else "to deny everything outwards by default"
    return f"{other} → {name} ({port})" if way == "in" else f"{name} → {other} ({port})"


def rows(policy):
    """What a policy allows, as (way, whose, peer, port); a policy for all pods that allows nothing denies the rest."""
    spec = policy["spec"]
    labels = spec["podSelector"].get("matchLabels", {})
    name = labels.get("app.kubernetes.io/name", "*")
    for kind, way, key in [("Ingress", "in", "from"), ("Egress", "out", "to")]:
        if kind not in spec.get("policyTypes", []):
            continue
        allowed = spec.get("ingress" if way == "in" else "egress") or []
        if name == "*" and not allowed:
            yield way, None, None, None
        for rule in allowed:
            peers, ports = rule.get(key) or [{}], rule.get("ports") or [{}]
            for peer in peers:
                for port in ports:
                    yield way, name, whom(peer), port.get("port", "any port")


def whom(peer):
    """The one name in a peer; anything wider is told as it stands, and fits nothing that is wanted."""
    space = (peer.get("namespaceSelector") or {}).get("matchLabels", {})
    pod = (peer.get("podSelector") or {}).get("matchLabels", {})
    if set(peer) == {"podSelector"} and "app.kubernetes.io/name" in pod:
        return pod["app.kubernetes.io/name"]
    if set(space) == {"kubernetes.io/metadata.name"} and set(peer) <= {"namespaceSelector", "podSelector"}:
        return space["kubernetes.io/metadata.name"]
    return f"anyone of {peer}"
