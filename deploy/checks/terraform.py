"""Compares the resources of the module with the lists of arguments of the AWS provider, and the two deployments with each
other.

The lists are those of @cdktf/provider-aws on npm. Each resource or block has an interface, whose properties are the
arguments.

Usage: terraform.py MODULE PROVIDER TRANSLATED"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import hcl2

module, provider, translated = (Path(path) for path in sys.argv[1:])
problems = []

# The arguments of Terraform itself, in every resource or block.
META = {"for_each", "count", "depends_on", "lifecycle", "provider", "dynamic"}


def plain(text):
    return text.strip('"') if isinstance(text, str) else text


def interfaces(kind):
    """Returns the arguments by interface: {name: {argument: (required, the interface of a block, or None)}}."""
    text = (provider / kind.removeprefix("aws_").replace("_", "-") / "index.d.ts").read_text()
    found = {}
    for name, body in re.findall(r"export interface (\w+)[^{]*\{(.*?)\n\}", text, re.S):
        found[name] = {}
        pattern = r"#(\w+) \w+#\w+\}.*?readonly (\w+)(\??): ([^;]+);"
        for argument, _, optional, kinds in re.findall(pattern, body, re.S):
            block = next((word for word in re.findall(r"\w+", kinds) if word in text and word[0].isupper()
                          and f"export interface {word} " in text), None)
            found[name][argument] = (not optional, block)
    return found


def check(where, body, known, name):
    allowed = known[name]
    given = set()
    for argument, value in body.items():
        argument = plain(argument)
        if argument.startswith("__"):
            continue
        if argument == "dynamic":
            for dynamic in value:
                for block, content in dynamic.items():
                    given.add(plain(block))
                    for one in content.get("content", []):
                        inside(where, plain(block), one, known, allowed)
            continue
        if argument in META:
            continue
        given.add(argument)
        if argument not in allowed:
            problems.append(f"{where}: there is no argument `{argument}`")
            continue
        blocks = value if isinstance(value, list) else []
        if allowed[argument][1] and all(isinstance(block, dict) for block in blocks):
            for block in blocks:
                inside(where, argument, block, known, allowed)
    for argument, (required, _) in allowed.items():
        if required and argument not in given:
            problems.append(f"{where}: the argument `{argument}` is missing")


def inside(where, argument, block, known, allowed):
    if argument not in allowed:
        problems.append(f"{where}: there is no block `{argument}`")
    elif allowed[argument][1]:
        check(f"{where}.{argument}", block, known, allowed[argument][1])


resources, documents = {}, {}
for path in sorted(module.glob("*.tf")):
    with open(path) as file:
        parsed = hcl2.load(file)
    for block in parsed.get("resource", []):
        for kind, named in block.items():
            for name, body in named.items():
                resources[plain(kind), plain(name)] = body
    for block in parsed.get("data", []):
        for kind, named in block.items():
            for name, body in named.items():
                if plain(kind) == "aws_iam_policy_document":
                    documents[plain(name)] = body

checked = 0
for (kind, name), body in resources.items():
    if not kind.startswith("aws_"):
        continue
    known = interfaces(kind)
    config = next(interface for interface in known if interface.endswith("Config") and known[interface])
    check(f"{kind}.{name}", body, known, config)
    checked += 1

# The two deployments, resource by resource.
COUNTERPARTS = {
    "aws_lambda_layer_version": "AWS::Lambda::LayerVersion",
    "aws_dynamodb_table": "AWS::DynamoDB::Table",
    "aws_sqs_queue": "AWS::SQS::Queue",
    "aws_cloudwatch_log_group": "AWS::Logs::LogGroup",
    "aws_secretsmanager_secret": "AWS::SecretsManager::Secret",
    "aws_lambda_function": "AWS::Lambda::Function",
    "aws_lambda_event_source_mapping": "AWS::Lambda::EventSourceMapping",
    "aws_lambda_function_event_invoke_config": "AWS::Lambda::EventInvokeConfig",
    "aws_scheduler_schedule": "AWS::Scheduler::Schedule",
    "aws_apigatewayv2_api": "AWS::ApiGatewayV2::Api",
    "aws_apigatewayv2_stage": "AWS::ApiGatewayV2::Stage",
    "aws_apigatewayv2_domain_name": "AWS::ApiGatewayV2::DomainName",
    "aws_apigatewayv2_api_mapping": "AWS::ApiGatewayV2::ApiMapping",
    "aws_iam_role": "AWS::IAM::Role",
    "aws_cloudwatch_metric_alarm": "AWS::CloudWatch::Alarm",
}
# Resources that SAM has in another form. Routes and integrations are in the definition of the API, and values of secrets in
# the secrets. Policies are compared by the allowed actions.
ELSEWHERE = {
    "aws_apigatewayv2_integration", "aws_apigatewayv2_route", "aws_lambda_permission", "aws_iam_role_policy",
    "aws_secretsmanager_secret_version", "aws_iam_role_policy_attachment",
}
# The number of resources of a `for_each`.
TIMES = {
    ("aws_sqs_queue", "this"): 2, ("aws_sqs_queue", "dead_letters"): 2, ("aws_cloudwatch_log_group", "this"): 3,
    ("aws_secretsmanager_secret", "this"): 4, ("aws_cloudwatch_metric_alarm", "this"): 14,
}
template = json.loads(translated.read_text())["Resources"]
ours = Counter()
for kind, name in resources:
    if kind in COUNTERPARTS:
        ours[COUNTERPARTS[kind]] += TIMES.get((kind, name), 1)
    elif kind.startswith("aws_") and kind not in ELSEWHERE:
        problems.append(f"{kind}.{name} has no counterpart in the SAM template")
theirs = Counter(resource["Type"] for resource in template.values())
for kind in set(COUNTERPARTS.values()):
    if ours[kind] != theirs[kind]:
        problems.append(f"{kind}: {ours[kind]} in Terraform, {theirs[kind]} in SAM")


def flat(value):
    """Returns the texts of nested lists."""
    return [text for one in value for text in flat(one)] if isinstance(value, list) else [plain(value)]


def actions(statements, key):
    found = set()
    for statement in statements:
        found |= set(flat(statement.get(key, [])))
    return found


def of_documents(*names):
    found = set()
    for name in names:
        body = documents[name]
        found |= actions(body.get("statement", []), "actions")
        for dynamic in body.get("dynamic", []):
            for block in dynamic.values():
                found |= actions(block.get("content", []), "actions")
    return found


def of_template(role):
    found = set()
    for resource in template.values():
        properties = resource.get("Properties", {})
        named = [properties.get("RoleName"), *properties.get("Roles", [])]
        if {"Ref": role} in named:
            found |= actions(properties["PolicyDocument"]["Statement"], "Action")
    return found


for role, names in {"Intake": ["intake", "secrets"], "Worker": ["worker", "secrets"], "Scheduler": ["scheduler"]}.items():
    one, other = of_documents(*names), of_template(f"{role}Role")
    if one != other:
        problems.append(f"the {role} may do {sorted(one ^ other)} in one of the deployments only")

terraform = "\n".join(path.read_text() for path in sorted(module.glob("*.tf")))
for resource in template.values():
    properties = resource.get("Properties", {})
    said = []
    if resource["Type"] == "AWS::Lambda::Function":
        said = list(properties["Environment"]["Variables"])
        said += [f"timeout          = {properties['Timeout']}", properties["Runtime"], properties["Handler"]]
    elif resource["Type"] == "AWS::CloudWatch::Alarm":
        said = [properties["MetricName"], properties["Namespace"], properties["AlarmDescription"].removesuffix("fails. Its log has the reason")]
        said = [text for text in said if "intake fails" not in text and not text.startswith("The worker")]
    elif resource["Type"] == "AWS::SecretsManager::Secret":
        said = [properties["Description"], f"{properties['Name']['Fn::Sub'].split('/')[1]} = "]
    elif resource["Type"] == "AWS::SQS::Queue" and "RedrivePolicy" in properties:
        said = [f"= {properties['VisibilityTimeout']}", f"maxReceiveCount     = {properties['RedrivePolicy']['maxReceiveCount']}"]
    elif resource["Type"] == "AWS::DynamoDB::Table":
        said = [f'name            = "{properties["GlobalSecondaryIndexes"][0]["IndexName"]}"', properties["BillingMode"]]
    elif resource["Type"] == "AWS::Lambda::EventSourceMapping":
        said = [f"= {properties['BatchSize']}\n", *properties["FunctionResponseTypes"]]
    for text in said:
        if text not in terraform:
            problems.append(f"{resource['Type']}: the SAM template has `{text.strip()}`, and the Terraform module does not")

for problem in problems:
    print(problem, file=sys.stderr)
print(f"{checked} resources match the lists of the provider, {sum(theirs.values())} resources of SAM have counterparts"
      if not problems else f"{len(problems)} problems")
sys.exit(bool(problems))
