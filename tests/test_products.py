"""Products are folders, the user's own before ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudmesh_cluster.model.cluster import ROLES
from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.model.spec import Spec
from cloudmesh_cluster.products import TEMPLATES, folders, product, products, rendered
from cloudmesh_cluster.steps.order import Asked, asked, values_of

YAML = """\
summary: A page that every worker serves
variables:
  port: {default: 8000, help: Where it listens}
least: {ram_mb: 1024}
defaults: {workers: 3}
"""
TYPED = """\
summary: Settings of every type
variables:
  port: {type: number, default: 8000}
  tls: {type: yes-no, default: no}
  kind: {choices: [a, b], default: a}
  page: {type: source, default: "https://there/page"}
packages: {all: [curl], master: [nginx]}
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
            one.script(role, values_of("c", [1, 2], one.values({})))


@pytest.mark.parametrize("switched", ["no", "yes"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", products([TEMPLATES]))
def test_our_scripts_pass_shellcheck(name: str, role: str, switched: str) -> None:
    one = product(name, [TEMPLATES])
    switches = {v.name: switched for v in one.variables if v.type == "yes-no"}
    texts = {v.name: "a b" for v in one.variables if v.name in ("packages", "mirror")}
    script = one.script(role, values_of("c", [1, 2, 3], one.values({**texts, **switches})))

    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [shellcheck, "--shell=bash", "-"], input=script, capture_output=True, text=True, check=False
    )

    assert done.stdout == ""


def test_a_product_of_the_users_own_is_found(own: Path) -> None:
    assert set(products(folders(own))) == {*products([TEMPLATES]), "web"}


def test_a_product_gives_scripts_checks_and_defaults(own: Path) -> None:
    wanted = ask(own, Spec(product="web", values={"port": "9000"}))

    assert wanted.workers == 3
    assert wanted.scripts["worker"].product == b"serve --port 9000 # of 3\n"
    assert wanted.scripts["worker"].role == b"the user's"
    assert b"give_user_keys" in wanted.scripts["master"].product
    assert [check.title for check in wanted.checks] == ["port 9000", "command x"]
    assert wanted.checks[1].expect.stdout == "3"
    assert wanted.product.least_ram_mb == 1024


def test_options_win_over_a_products_defaults(own: Path) -> None:
    assert ask(own, Spec(product="web", workers=5)).workers == 5


def test_a_variable_that_the_product_lacks_is_refused(own: Path) -> None:
    with pytest.raises(UsageError, match="has no variable prot; did you mean port") as refused:
        ask(own, Spec(product="web", values={"prot": "1"}))
    assert "product web has: port, packages, mirror, shared_home." in str(refused.value)


def test_everything_wrong_with_the_settings_is_told_at_once(own: Path) -> None:
    (own / "web" / "product.yaml").write_text(TYPED)

    with pytest.raises(UsageError) as refused:
        ask(own, Spec(product="web", values={"port": "x", "tls": "perhaps", "kind": "c", "q": ""}))

    assert refused.value.problem.splitlines() == [
        "product web has no variable q",
        "--set port takes a whole number, not 'x'",
        "--set tls takes yes or no, not 'perhaps'",
        "--set kind takes one of a, b, not 'c'",
    ]


def test_values_have_the_types_that_the_product_gives_them(own: Path) -> None:
    (own / "web" / "product.yaml").write_text(TYPED)
    (own / "web" / "master.sh.j2").write_text("{% if tls %}tls{% endif %} {{ port + 1 }}")

    wanted = ask(own, Spec(product="web", values={"tls": "yes"}))

    assert wanted.scripts["master"].product == b"tls 8001"


def test_a_file_of_the_client_is_carried_and_found_where_the_script_looks(own: Path) -> None:
    (own / "web" / "product.yaml").write_text(TYPED)
    (own / "web" / "master.sh.j2").write_text("obtain {{ page | sh }}")
    page = own / "a page"
    page.write_text("hello")

    wanted = ask(own, Spec(product="web", values={"page": str(page)}))

    assert wanted.carried == {"a page": page}
    assert wanted.scripts["master"].product == b"obtain 'file:///var/lib/cm-cluster/files/a page'"
    assert not ask(own, Spec(product="web", values={"page": "https://there/page"})).carried


def test_a_file_that_is_not_there_cannot_be_carried(own: Path) -> None:
    (own / "web" / "product.yaml").write_text(TYPED)

    with pytest.raises(UsageError, match="there is no file /no/such"):
        ask(own, Spec(product="web", values={"page": "/no/such"}))


def test_packages_are_those_of_all_and_of_the_role(own: Path) -> None:
    (own / "web" / "product.yaml").write_text(TYPED)

    web = product("web", folders(own))

    assert web.packages_of("master") == ("curl", "nginx")
    assert web.packages_of("worker") == ("curl",)


def test_a_page_is_there_when_its_variable_says_so() -> None:
    slurm = product("slurm", [TEMPLATES])

    assert slurm.pages_with(slurm.values({})) == ()
    assert [page.port for page in slurm.pages_with(slurm.values({"rest": "on"}))] == [6820]


def test_plain_runs_nothing_unless_it_is_asked_to() -> None:
    plain = product("plain", [TEMPLATES])
    asked_for = values_of("c", [1], plain.values({"packages": "htop"}))

    assert plain.script("worker", values_of("c", [1], plain.values({}))) == ""
    assert "need htop" in plain.script("worker", asked_for)


def test_a_product_that_is_not_there_is_told_with_those_that_are(own: Path) -> None:
    with pytest.raises(NotFound, match="did you mean web") as missing:
        product("wbe", folders(own))
    assert missing.value.next_step == f"There are: {', '.join(products(folders(own)))}."


@pytest.mark.parametrize("text", ["", "- a list", "variables: {}", "summary: [", "least: 3"])
def test_a_product_yaml_that_is_none_is_named(own: Path, text: str) -> None:
    (own / "web" / "product.yaml").write_text(text)

    with pytest.raises(UsageError, match="not a product"):
        products(folders(own))


def test_a_script_that_names_an_unknown_value_is_refused(own: Path) -> None:
    (own / "web" / "worker.sh.j2").write_text("{{ nothing }}\n")

    with pytest.raises(UsageError, match="'nothing' is undefined"):
        ask(own, Spec(product="web"))


# A bash that met this outside of quotes would run it.
HOSTILE = """';touch${IFS}owned;"$(touch${IFS}owned)`touch${IFS}owned`"""


@pytest.mark.parametrize("name", sorted(products([TEMPLATES])))
def test_no_value_of_the_users_is_ever_an_order_in_a_product_s_script(name: str) -> None:
    one = product(name, [TEMPLATES])
    texts = [
        variable.name
        for variable in one.variables
        if variable.type in ("text", "source") and not variable.choices
    ]
    assert "mirror" in texts
    for variable in texts:
        values = values_of("demo", [1, 2], one.values({"shared_home": "yes", variable: HOSTILE}))
        for role in ROLES:
            script = one.script(role, values)
            quoted = HOSTILE.replace("'", """'"'"'""")
            assert "owned" not in script.replace(quoted, ""), (variable, role)
            subprocess.run(["bash", "-n"], input=script.encode(), check=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_a_value_through_the_filter_sh_is_one_word_whatever_it_is(values: list[str]) -> None:
    script = rendered(
        "{% for one in values %}printf '%s\\0' {{ one | sh }}\n{% endfor %}",
        {"values": values},
        "x",
    )
    done = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True)

    assert done.stdout == b"".join(one.encode() + b"\0" for one in values)
