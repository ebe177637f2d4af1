"""Cuts what Offhook calls out of the published OpenAPI documents, so that the tests need no two megabytes.

    python3 excerpt_specs.py <twilio_api_v2010.yaml> <telnyx_v2.json> <folder>
"""

import json
import pathlib
import sys

import yaml

TWILIO = {
    "/2010-04-01/Accounts/{Sid}.json": ["get"],
    "/2010-04-01/Accounts/{AccountSid}/AvailablePhoneNumbers/{CountryCode}/Local.json": ["get"],
    "/2010-04-01/Accounts/{AccountSid}/AvailablePhoneNumbers/{CountryCode}/Mobile.json": ["get"],
    "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers.json": ["get", "post"],
    "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}.json": ["post", "delete"],
    "/2010-04-01/Accounts/{AccountSid}/Messages.json": ["post"],
}
TELNYX = {
    "/available_phone_numbers": ["get"],
    "/number_orders": ["get", "post"],
    "/number_orders/{number_order_id}": ["get"],
    "/phone_numbers": ["get"],
    "/phone_numbers/{id}": ["delete"],
    "/messaging_profiles/{id}": ["get", "patch"],
    "/messages": ["post"],
}
NOISE = {"description", "example", "examples", "x-examples", "summary", "x-twilio", "externalDocs", "title"}


def resolve(document, node, depth=0):
    """Without references and prose."""
    if isinstance(node, list):
        return [resolve(document, item, depth) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        target = document
        for step in node["$ref"].split("/")[1:]:
            target = target[step]
        return resolve(document, target, depth + 1) if depth < 12 else {}
    return {k: resolve(document, v, depth) for k, v in node.items() if k not in NOISE or k == "properties"}


def excerpt(document, wanted):
    paths = {}
    for path, methods in wanted.items():
        item = document["paths"][path]
        for method in methods:
            operation = item[method]
            parameters = item.get("parameters", []) + operation.get("parameters", [])
            cut = {"parameters": resolve(document, parameters)}
            if "requestBody" in operation:
                cut["requestBody"] = resolve(document, operation["requestBody"])
            paths.setdefault(path, {})[method] = cut
    return {"info": {"title": document["info"]["title"], "license": "MIT"}, "paths": paths}


def main():
    twilio, telnyx, folder = map(pathlib.Path, sys.argv[1:])
    for name, document, wanted in [
        ("twilio", yaml.safe_load(twilio.read_text()), TWILIO),
        ("telnyx", json.loads(telnyx.read_text()), TELNYX),
    ]:
        text = json.dumps(excerpt(document, wanted), indent=1, sort_keys=True)
        (folder / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
