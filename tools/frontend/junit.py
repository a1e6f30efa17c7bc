# SPDX-License-Identifier: GPL-2.0-or-later
"""All results of a test run as one JUnit XML file, the form that CI systems read."""
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from .results import FAILED, SKIPPED

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value):
    return _NOT_XML.sub("?", value)


def _case(parent, result, properties):
    suite, _dot, name = result.name.partition(".")
    case = ElementTree.SubElement(parent, "testcase", classname=_text(suite), name=_text(name or suite),
                                  time=f"{result.seconds:.3f}")
    if properties:
        element = ElementTree.SubElement(case, "properties")
        for key, value in properties:
            ElementTree.SubElement(element, "property", name=key, value=_text(value))
    if result.status == FAILED:
        first = next((line for line in result.message.splitlines() if line.strip()), "failed")
        ElementTree.SubElement(case, "failure", message=_text(first)).text = _text(result.message)
    elif result.status == SKIPPED:
        ElementTree.SubElement(case, "skipped", message=_text(result.message))


def _suite(root, group, results, properties_of):
    suite = ElementTree.SubElement(
        root, "testsuite", name=group, tests=str(len(results)), errors="0",
        failures=str(sum(result.status == FAILED for result in results)),
        skipped=str(sum(result.status == SKIPPED for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}")
    for result in results:
        _case(suite, result, properties_of(result.name))


def write(path, results, properties_of=lambda name: []):
    """properties_of: (name, value) pairs of the case with this Suite.Name."""
    root = ElementTree.Element("testsuites", name="tandem", tests=str(len(results)),
                               failures=str(sum(result.status == FAILED for result in results)))
    groups = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    for group, members in groups.items():
        _suite(root, group, members, properties_of)
    ElementTree.indent(root)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
