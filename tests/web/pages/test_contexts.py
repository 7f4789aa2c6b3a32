"""Every template against its type: it uses all that it is given, and nothing else."""

from __future__ import annotations

from dataclasses import fields

import pytest
from jinja2 import Environment, FileSystemLoader, meta, nodes

from backend.web.pages.contexts import PAGES
from backend.web.pages.rendering import GLOBALS
from backend.web.pages.views import ROOM


def names_used(environment: Environment, template: str) -> set[str]:
    """The variables of a template and of those that it extends."""
    source, _, _ = environment.loader.get_source(environment, template)
    tree = environment.parse(source)
    used = meta.find_undeclared_variables(tree)
    # What is set or imported outside of all blocks, blocks see.
    used -= {node.target for node in tree.body if isinstance(node, nodes.Import)}
    used -= {node.target.name for node in tree.body if isinstance(node, nodes.Assign)}
    for other in meta.find_referenced_templates(tree):
        if other != "macros.html":
            used |= names_used(environment, other)
    return used


@pytest.mark.parametrize("page", PAGES)
def test_template_uses_exactly_what_its_context_has(page):
    environment = Environment(loader=FileSystemLoader(ROOM / "templates"), autoescape=True)
    given = {field.name for field in fields(page)}
    assert names_used(environment, page.TEMPLATE) - set(GLOBALS) == given
