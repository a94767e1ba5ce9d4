"""`python3 scripts/k8s FOLDER`: every overlay, and production with each component, is built, fits the schemas, and keeps the rules of rules.py. See k8s.sh."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

import rules

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
# The oldest that knows `preStop.sleep` without a feature gate, and the newest of which there are schemas.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]


def main():
    folder, problems, checked = Path(sys.argv[1]), [], 0
    for source in [path.relative_to(K8S).as_posix() for kind in ["base", "overlays/*", "components/*"] for path in sorted(K8S.glob(kind))]:
        place = with_component(source, folder) if source.startswith("components/") else K8S / source
        built = subprocess.run(["kubectl", "kustomize", place], capture_output=True, text=True)
        if built.returncode:
            problems.append(f"{source}: {built.stderr.strip()}")
            continue
        documents = [document for document in yaml.safe_load_all(built.stdout) if document]
        found = [*schemas(documents), *custom(documents, folder), *rules.broken(documents, ROOT)]
        problems += [f"{source}: {problem}" for problem in found]
        checked += len(documents)
        print(f"{source}: {len(documents)} objects, {len(found)} problems")
    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    return 1 if problems or not checked else 0


def with_component(source, folder):
    """An overlay that is production with a component."""
    place = folder.resolve() / source
    place.mkdir(parents=True)
    said = {"resources": [os.path.relpath(K8S / "overlays/production", place)], "components": [os.path.relpath(K8S / source, place)]}
    (place / "kustomization.yaml").write_text(json.dumps(said))
    return place


def name(document):
    return f"{document.get('kind')} {document.get('metadata', {}).get('name')}"


def is_custom(document):
    return document.get("apiVersion", "").startswith("cert-manager.io/")


def schemas(documents):
    """Kubernetes' own kinds, strictly: a field that is not known is none."""
    for document in documents:
        if is_custom(document):
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = "/".join(str(part) for part in error.path)
                yield f"{name(document)}: {where}: {error.message} (Kubernetes {version})"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{name(document)}: {error.message}"


def custom(documents, folder):
    """cert-manager's kinds, by the schemas of its own definitions."""
    wanted = [document for document in documents if is_custom(document)]
    script = Path(__file__).with_name("custom.cjs")
    said = subprocess.run(["node", script, folder], input=json.dumps(wanted), capture_output=True, text=True)
    if said.returncode:
        yield f"custom.cjs: {said.stderr.strip()}"
    else:
        yield from json.loads(said.stdout)


if __name__ == "__main__":
    sys.exit(main())
