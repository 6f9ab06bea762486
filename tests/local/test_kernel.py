"""Kernel settings are raised once and put back by the last cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudmesh_cluster.local import kernel


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that looks like the kernel's, with its defaults."""
    for name, value in (
        ("net/ipv4/ip_forward", 0),
        ("fs/inotify/max_user_instances", 128),
        ("fs/inotify/max_user_watches", 999999),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    monkeypatch.setattr(kernel, "SETTINGS", tmp_path)
    monkeypatch.setattr(kernel, "SHARED", tmp_path / "shared")
    monkeypatch.setattr(kernel, "BEFORE", tmp_path / "shared/settings.json")
    return tmp_path


def test_too_low_settings_are_raised_and_higher_ones_kept(settings: Path) -> None:
    kernel.apply("cm-test")
    assert (settings / "net/ipv4/ip_forward").read_text() == "1\n"
    assert (settings / "fs/inotify/max_user_instances").read_text() == "8192\n"
    assert (settings / "fs/inotify/max_user_watches").read_text() == "999999\n"


def test_the_last_cloud_puts_them_back(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.apply("cm-one")
    monkeypatch.setattr(kernel, "users", lambda: ("cm-one",))
    kernel.apply("cm-two")
    kernel.take_back("cm-two")
    assert (settings / "net/ipv4/ip_forward").read_text() == "1\n"
    monkeypatch.setattr(kernel, "users", lambda: ())
    kernel.take_back("cm-one")
    assert (settings / "net/ipv4/ip_forward").read_text() == "0\n"
    assert (settings / "fs/inotify/max_user_instances").read_text() == "128\n"
    assert (settings / "fs/inotify/max_user_watches").read_text() == "999999\n"


def test_what_somebody_else_has_changed_is_left_to_them(settings: Path) -> None:
    kernel.apply("cm-one")
    (settings / "fs/inotify/max_user_instances").write_text("4096\n")
    kernel.take_back("cm-one")
    assert (settings / "fs/inotify/max_user_instances").read_text() == "4096\n"
