"""Translates the SAM template in the same way as the deployment, and lints the template and the translation.

Usage: sam.py TEMPLATE TRANSLATED"""

import json
import os
import subprocess
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

template, translated = sys.argv[1:]
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
with open(template) as file:
    document = yaml_parse(file.read())
# The address at which `sam deploy` stores the output of `sam build`.
for resource in document["Resources"].values():
    for place in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
        resource["Properties"][place] = "s3://bucket/key"


class NoManagedPolicies:
    def load(self):
        return {}


with open(translated, "w") as file:
    json.dump(transform(document, {}, NoManagedPolicies()), file, indent=1)
lint = os.path.join(os.path.dirname(sys.executable), "cfn-lint")
sys.exit(max(subprocess.run([lint, path]).returncode for path in (template, translated)))
