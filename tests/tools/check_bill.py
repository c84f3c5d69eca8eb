"""Checks a bill of materials against the schema of CycloneDX 1.6: `check_bill.py SCHEMAS < BILL`.

In: the folder of the schemas, and the document on standard input. Out: a line for each fault, and exit code 1 if there
is one. Needs the package jsonschema on PYTHONPATH.
"""

import json
import pathlib
import sys

import jsonschema


def main() -> None:
    schemas = pathlib.Path(sys.argv[1])
    load = lambda name: json.loads((schemas / f"{name}.SNAPSHOT.schema.json").read_text())
    schema = load("bom-1.6")
    # The schema names others by addresses; none is asked.
    others = {other["$id"]: other for other in map(load, ["spdx", "jsf-0.82"])}
    resolver = jsonschema.RefResolver.from_schema(schema, store=others)
    faults = list(jsonschema.Draft7Validator(schema, resolver=resolver).iter_errors(json.load(sys.stdin)))
    for fault in faults:
        print("/".join(map(str, fault.path)), fault.message)
    sys.exit(1 if faults else 0)


main()
