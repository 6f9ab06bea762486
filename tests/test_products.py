"""Products are folders, the user's own before ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudmesh_cluster.model.cluster import ROLES
from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.model.spec import Spec
from cloudmesh_cluster.products import TEMPLATES, folders, product, products
from cloudmesh_cluster.steps.order import Asked, asked

YAML = """\
summary: A page that every worker serves
variables:
  port: {default: 8000, help: Where it listens}
least: {ram_mb: 1024}
defaults: {workers: 3}
"""
EXPECT = """\
- role: worker
  port: '{{ port }}'
- role: master
  command: x
  stdout: '{{ workers }}'
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of products with one product, web."""
    web = tmp_path / "web"
    web.mkdir()
    (web / "product.yaml").write_text(YAML)
    (web / "worker.sh.j2").write_text("serve --port {{ port }} # of {{ workers }}\n")
    (web / "expect.yaml").write_text(EXPECT)
    return tmp_path


def ask(own: Path, options: Spec) -> Asked:
    return asked(
        "demo",
        options=options,
        file=None,
        expectations=[],
        product_named=lambda name: product(name, folders(own)),
        script=lambda role: b"the user's" if role == "worker" else None,
        user_key=str,
    )


def test_our_products_are_whole() -> None:
    for one in products([TEMPLATES]).values():
        assert one.summary
        for role in ROLES:
            one.script(role, {**one.values({}), "cluster": "c", "workers": 2})


def test_a_product_of_the_users_own_is_found(own: Path) -> None:
    assert list(products(folders(own))) == ["plain", "web"]


def test_a_product_gives_scripts_checks_and_defaults(own: Path) -> None:
    wanted = ask(own, Spec(product="web", values={"port": "9000"}))

    assert wanted.workers == 3
    assert wanted.scripts["worker"].product == b"serve --port 9000 # of 3\n"
    assert wanted.scripts["worker"].role == b"the user's"
    assert wanted.scripts["master"].product == b""
    assert [check.title for check in wanted.checks] == ["port 9000", "command x"]
    assert wanted.checks[1].expect.stdout == "3"
    assert wanted.product.least_ram_mb == 1024


def test_options_win_over_a_products_defaults(own: Path) -> None:
    assert ask(own, Spec(product="web", workers=5)).workers == 5


def test_a_variable_that_the_product_lacks_is_refused(own: Path) -> None:
    with pytest.raises(UsageError, match="has no variable prot") as refused:
        ask(own, Spec(product="web", values={"prot": "1"}))
    assert "It has: port." in str(refused.value)


def test_a_product_that_is_not_there_is_told_with_those_that_are(own: Path) -> None:
    with pytest.raises(NotFound, match="did you mean web") as missing:
        product("wbe", folders(own))
    assert "There are: plain, web." in str(missing.value)


@pytest.mark.parametrize("text", ["", "- a list", "variables: {}", "summary: [", "least: 3"])
def test_a_product_yaml_that_is_none_is_named(own: Path, text: str) -> None:
    (own / "web" / "product.yaml").write_text(text)

    with pytest.raises(UsageError, match="not a product"):
        products(folders(own))


def test_a_script_that_names_an_unknown_value_is_refused(own: Path) -> None:
    (own / "web" / "worker.sh.j2").write_text("{{ nothing }}\n")

    with pytest.raises(UsageError, match="'nothing' is undefined"):
        ask(own, Spec(product="web"))
