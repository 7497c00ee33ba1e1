"""Runs scim2-tester against a server that is described as AWS IAM Identity Center. Prints the results as JSON."""

import json
import sys
from typing import Annotated

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import Group, Name, Required, ScimProvider, User
from scim2_tester import check_server

# An error of AWS has three keys that a SCIM error does not have, and a resource of AWS does not contain its own address.
# The transport corrects both. Otherwise, the tester would check nothing else in these answers.
OWN = ("schema", "exceptionRequestId", "timeStamp")


class AsTheRfcHasIt(httpx2.HTTPTransport):
    def handle_request(self, request):
        response = super().handle_request(request)
        response.read()
        if not response.content:
            return response
        body = response.json()
        if response.status_code >= 400:
            body = {key: value for key, value in body.items() if key not in OWN}
        for resource in [body, *body.get("Resources", [])]:
            if "id" in resource:
                kind = resource["meta"]["resourceType"]
                resource["meta"]["location"] = f"{base}/{kind}s/{resource['id']}"
        headers = {"content-type": response.headers["content-type"]}
        return httpx2.Response(response.status_code, headers=headers, json=body)


# The attributes of a user that AWS requires, and that the RFC does not require.
class AwsName(Name):
    family_name: Annotated[str | None, Required.true] = None
    given_name: Annotated[str | None, Required.true] = None


class AwsUser(User):
    display_name: Annotated[str | None, Required.true] = None
    name: Annotated[AwsName | None, Required.true] = None


base, token = sys.argv[1:3]
http = httpx2.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, transport=AsTheRfcHasIt())
client = SyncSCIMClient(http, provider=ScimProvider(models=[AwsUser, Group]))
results = [
    {"status": one.status.name, "of": one.resource_type, "check": one.title, "reason": one.reason or ""}
    for one in check_server(client)
]
print(json.dumps(results))
