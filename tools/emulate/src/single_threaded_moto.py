"""Serves moto one request after the other: with threads its conditional writes have two winners now and then.

Writes a line for each call: who called (the id of the access key), what IAM calls it, and of which secret, if of one.

Usage: single_threaded_moto.py PORT CALLS"""

import io
import json
import re
import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

# Where a policy names an action otherwise than the call is named.
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
