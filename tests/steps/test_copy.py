"""Files to real sshd's nodes and from them, whole or not at all, whatever they are called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudmesh_cluster.doors.ssh import Fleet
from cloudmesh_cluster.model.access import Target
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.shell.copying import Folders
from cloudmesh_cluster.steps.copy import AT_ONCE, PIECE, File, put, taken
from tests.sshd import MISSING, Server, free_port, servers

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

NAMES = [
    "plain",
    "with blanks",
    'it\'s "quoted"',
    "two\nlines\n",
    "-rf",
    "$(touch owned); `id` | & * ? [a] \\ #",
    "ünïcödé",
    " ",
    255 * "x",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def fleet(server: Server) -> Iterator[Fleet]:
    with Fleet(server.identity) as one:
        yield one


@pytest.fixture
def node(server: Server) -> Target:
    return Target("n1", server.addresses[0], server.login, (server.host_key,), server.port)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_to_a_folder_under_its_own_name(
    name: str, fleet: Fleet, node: Target, tmp_path: Path
) -> None:
    folder = tmp_path / "a b'c"
    folder.mkdir()
    content = os.urandom(300_000)

    assert put(fleet, [node], File(name, content, 0o750), str(folder)) == {}

    assert [one.name for one in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == content
    assert (folder / name).stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", NAMES)
def test_a_file_takes_the_place_of_another(
    name: str, fleet: Fleet, node: Target, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("old and longer")

    assert put(fleet, [node], File("mine", b"new", 0o644), str(tmp_path / name)) == {}

    assert (tmp_path / name).read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1,
                    max_size=40).filter(lambda name: name not in (".", "..")),
       content=st.binary(max_size=100))  # fmt: skip
def test_any_name_goes_and_comes_back(
    name: str, content: bytes, fleet: Fleet, node: Target, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir(exist_ok=True)

    assert put(fleet, [node], File(name, content, 0o644), f"{there}/") == {}
    assert taken(fleet, [node], str(there / name), Folders(back, name)) == {}

    assert (back / "n1" / name).read_bytes() == content
    (there / name).unlink()
    assert list(there.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "told"), [("nowhere/", "No such file"), ("folder/taken", "folder of that name")]
)
def test_what_cannot_be_put_is_told_and_leaves_nothing(
    where: str, told: str, fleet: Fleet, node: Target, tmp_path: Path
) -> None:
    (tmp_path / "folder" / "taken" / "mine").mkdir(parents=True)

    troubles = put(fleet, [node], File("mine", b"new", 0o644), f"{tmp_path}/{where}")

    assert told in troubles["n1"].problem
    assert [one.name for one in tmp_path.rglob("*")] == ["folder", "taken", "mine"]


def test_a_file_that_is_cut_leaves_the_old_one(fleet: Fleet, node: Target, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")

    class Cut(Fleet):
        def run(self, *args: Any, stdin: Any = b"", **kwargs: Any) -> Any:
            return fleet.run(*args, stdin=stdin[:-1], **kwargs)

    troubles = put(Cut(Path("unused")), [node], File("f", b"new one", 0o644), str(tmp_path / "f"))

    assert "not all of it came" in troubles["n1"].problem
    assert (tmp_path / "f").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_file_comes_back_byte_by_byte(
    size: int, fleet: Fleet, node: Target, tmp_path: Path
) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)

    assert taken(fleet, [node], str(tmp_path / "f"), Folders(tmp_path / "back", "f")) == {}

    assert [one.name for one in (tmp_path / "back" / "n1").iterdir()] == ["f"]
    assert (tmp_path / "back" / "n1" / "f").read_bytes() == content


def test_nodes_that_fail_are_told_and_the_others_are_copied(
    fleet: Fleet, node: Target, tmp_path: Path
) -> None:
    down = Target("n2", node.address, node.login, node.host_keys, free_port())
    (tmp_path / "f").write_text("x")
    folders = Folders(tmp_path / "back", "f")

    sent = put(fleet, [node, down], File("g", b"y", 0o644), f"{tmp_path}/")
    had = taken(fleet, [node, down], str(tmp_path / "f"), folders)
    missing = taken(fleet, [node], str(tmp_path / "none"), folders)

    assert list(sent) == list(had) == ["n2"]
    assert "connection refused" in sent["n2"].problem
    assert (tmp_path / "g").read_text() == "y"
    assert (tmp_path / "back" / "n1" / "f").read_text() == "x"
    assert not (tmp_path / "back" / "n2").exists()
    assert "no such file" in missing["n1"].problem


class Answers:
    """Nodes that answer with these texts, one after the other."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[int] = []

    def run(self, targets: Any, *_: Any, **__: Any) -> Mapping[str, Result]:
        self.asked.append(len(targets))
        text = self.texts.pop(0)
        return {one.name: Result(0, text) for one in targets}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["", "x"], "no file"),
        (["many 1\nx"], "no file"),
        ([f"{2 * PIECE} 1\n" + "x" * (PIECE + 1)], "no file"),
        ([f"{2 * PIECE} 1\n" + "x"], "changes while"),
        ([f"{2 * PIECE} 1\n" + "x" * PIECE, f"{2 * PIECE} 2\n" + "x" * PIECE], "changes while"),
    ],
)
def test_a_node_that_tells_nonsense_leaves_nothing(
    texts: list[str], told: str, node: Target, tmp_path: Path
) -> None:
    troubles = taken(Answers(*texts), [node], "f", Folders(tmp_path, "f"))  # type: ignore[arg-type]

    assert told in troubles["n1"].problem
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_of_many_nodes_only_some_are_asked_at_a_time(tmp_path: Path) -> None:
    many = [Target(f"n{number}", "", "", ()) for number in range(AT_ONCE + 1)]
    answers = Answers("1 1\nx", "1 1\nx")

    assert taken(answers, many, "f", Folders(tmp_path, "f")) == {}  # type: ignore[arg-type]

    assert answers.asked == [AT_ONCE, 1]
    assert len(list(tmp_path.rglob("f"))) == AT_ONCE + 1
