"""Renders the chart with several sets of values, compares the result with the descriptions of Kubernetes, and writes the first
one for other checkers.

Usage: helm.py CHART RENDERED"""

import sys
from pathlib import Path

import kubernetes_validate
import yaml
from gotpl.exts.helm import HelmTemplateEngine

chart, rendered = (Path(path) for path in sys.argv[1:])
about = yaml.safe_load((chart / "Chart.yaml").read_text())
defaults = yaml.safe_load((chart / "values.yaml").read_text())
sources = {path.name: path.read_text() for path in sorted((chart / "templates").iterdir())}
engine = HelmTemplateEngine(sources)

IMAGE = {"image": {"repository": "registry.example/beadle"}, "policy": {"settings.yml": "repository: {}\n"}}
SETS = {
    "what a stranger sets": IMAGE,
    "everything": IMAGE | {
        "policy": {"settings.yml": "repository: {}\n", "repos/website.yml": "repository:\n  has_wiki: true\n"},
        "ingress": {"enabled": True, "className": "nginx", "host": "beadle.example.org", "tlsSecretName": "beadle-tls",
                    "annotations": {"a": "b"}},
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "beadle", "key": "token"}}}],
        "store": {"storageClassName": "fast"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "service": {"annotations": {"a": "b"}},
        "operator": {"annotations": {"prometheus.io/scrape": "true"}},
    },
    "a table": IMAGE | {
        "store": {"dynamodb": "dynamodb://beadle?region=eu-west-1"}, "replicas": 2, "secretName": "",
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/beadle"}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule",
                                       "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "beadle"}}}],
        "networkPolicy": {"enabled": True, "operatorFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
                          "egress": [{"ports": [{"port": 587}]}]},
    },
}
# Invalid values, each with a text that the chart's error must have.
REFUSED = {
    "image.repository": {"policy": IMAGE["policy"]},
    "policy": {"image": IMAGE["image"]},
    "store.dynamodb for more": IMAGE | {"replicas": 2},
    "only one of store.postgres": IMAGE | {"store": {"dynamodb": "dynamodb://b", "postgres": {"secretName": "b"}}},
    "ingress.host": IMAGE | {"ingress": {"enabled": True}},
}


def merged(one, other):
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    return one | {key: merged(one.get(key), value) for key, value in other.items()}


# The examples beside values.yaml.
for example in ("values-sqlite.yaml", "values-postgresql.yaml"):
    SETS[example] = merged(IMAGE, yaml.safe_load((chart / example).read_text()))
# The kinds of resources that only some sets of values have.
PARTS = {
    "a table": {"PodDisruptionBudget", "NetworkPolicy"},
    "everything": {"Ingress"},
    "values-sqlite.yaml": {"NetworkPolicy"},
    "values-postgresql.yaml": {"PodDisruptionBudget", "NetworkPolicy"},
}


def render(values):
    data = {
        "Values": merged(defaults, values),
        "Chart": {"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
        "Release": {"Name": "beadle", "Namespace": "beadle", "Service": "Helm"},
    }
    return engine.render({name: data for name in sources if not name.startswith("_")})


problems, count = [], 0
for what, values in SETS.items():
    texts = render(values)
    assert "/hooks/github" in texts.pop("NOTES.txt")
    resources = [one for text in texts.values() for one in yaml.safe_load_all(text) if one]
    for resource in resources:
        count += 1
        try:
            kubernetes_validate.validate(resource, "1.37", strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{what}: {resource['kind']} {resource['metadata']['name']}: {error.message}")
    pod = next(one for one in resources if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    config = next(one for one in resources if one["kind"] == "ConfigMap")["data"]
    for item in pod["volumes"][0]["configMap"]["items"]:
        if item["key"] not in config:
            problems.append(f"{what}: the config map has no {item['key']}")
    mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    store = values.get("store", {})
    claims = set() if "dynamodb" in store or "postgres" in store else {"state"}
    kinds = {one["kind"] for one in resources}
    parts = kinds - {"ConfigMap", "Service", "ServiceAccount", "StatefulSet"}
    if parts != PARTS.get(what, set()):
        problems.append(f"{what}: has {sorted(parts)}")
    if ("topologySpreadConstraints" in pod) != ("PodDisruptionBudget" in kinds):
        problems.append(f"{what}: only several pods are spread")
    address = next(one for one in pod["containers"][0]["env"] if one["name"] == "BEADLE_STORE")
    if ("valueFrom" in address) != ("postgres" in store):
        problems.append(f"{what}: the address of a database comes from a secret, and no other one")
    if mounted != volumes | claims:
        problems.append(f"{what}: {sorted(mounted ^ (volumes | claims))} is mounted, or is there, alone")
    if what == "what a stranger sets":
        rendered.write_text("\n---\n".join(texts.values()))
for wanted, values in REFUSED.items():
    try:
        render(values)
        problems.append(f"values that cannot be are rendered: {wanted}")
    except Exception as error:
        if wanted not in str(error):
            problems.append(f"{wanted} is not named: {error}")

for problem in problems:
    print(problem, file=sys.stderr)
if not problems:
    print(f"{count} resources of {len(SETS)} sets of values match the descriptions of Kubernetes")
sys.exit(bool(problems))
