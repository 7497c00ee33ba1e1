"""Serves moto without threads.

With threads, two conflicting conditional writes sometimes both succeed.

Writes a line for each action of a call: the id of the caller's access key, the name of the action in
IAM policies, and the id of the secret, or `-` if the call reads no secret.

Usage: single_threaded_moto.py PORT CALLS"""

import io
import json
import re
import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

# The calls whose actions have other names in IAM policies.
ACTIONS = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}


class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *args):
        pass


class Recorded:
    def __init__(self, application, calls):
        self.application = application
        self.calls = calls

    def __call__(self, environ, start_response):
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        caller = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        if caller and target:
            who, service = caller.groups()
            call = target.rsplit(".", 1)[-1]
            actions, of = [ACTIONS.get(call, call)], "-"
            if call in ("TransactWriteItems", "GetSecretValue"):
                length = int(environ.get("CONTENT_LENGTH") or 0)
                body = environ["wsgi.input"].read(length)
                environ["wsgi.input"] = io.BytesIO(body)
                asked = json.loads(body)
                of = asked.get("SecretId", "-")
                parts = {"ConditionCheck": "ConditionCheckItem"}
                items = asked.get("TransactItems", [])
                actions = [parts.get(part, f"{part}Item") for item in items for part in item] or actions
            for action in actions:
                self.calls.write(f"{who} {service}:{action} {of}\n")
            self.calls.flush()
        return self.application(environ, start_response)


application = DomainDispatcherApplication(create_backend_app)
with open(sys.argv[2], "w") as calls:
    run_simple("127.0.0.1", int(sys.argv[1]), Recorded(application, calls), threaded=False, request_handler=Silent)
