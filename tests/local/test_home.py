"""Folders, names and what is kept of a cloud."""

from __future__ import annotations

import stat
from ipaddress import IPv4Network
from pathlib import Path

import yaml

from cloudmesh_cluster.local import cloud, config
from cloudmesh_cluster.local.home import (
    Home,
    fingerprint,
    fresh_settings,
    save,
    saved_settings,
)


def test_the_home_is_below_the_users_unless_it_is_named() -> None:
    home = Home.from_environment({"HOME": "/home/ann"})
    assert home.state == Path("/home/ann/.cloudmesh/cloud")
    assert home.software == Path("/home/ann/.cloudmesh/cloud/software")


def test_another_home_may_share_the_software() -> None:
    environ = {"HOME": "/root", "CM_CLOUD_HOME": "/a", "CM_CLOUD_SOFTWARE": "/b"}
    assert Home.from_environment(environ) == Home(Path("/a"), Path("/b"))


def test_names_of_two_homes_differ_and_fit_the_kernel() -> None:
    one, two = Home(Path("/one"), Path("/s")), Home(Path("/two"), Path("/s"))
    assert one.name != two.name
    assert len(one.name) <= 15
    assert len(str(config.mysql_socket(Home(Path("/" + "x" * 200), Path("/s"))))) <= 107


def test_settings_are_kept_for_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "software")
    settings = fresh_settings(IPv4Network("10.77.16.0/20"))
    save(home, settings)
    assert saved_settings(home) == settings
    assert stat.S_IMODE(home.settings.stat().st_mode) == 0o600


def test_a_cloud_that_was_never_started_has_no_settings(tmp_path: Path) -> None:
    home = Home(tmp_path / "none", tmp_path)
    assert saved_settings(home) is None
    assert cloud.status(home) == ()
    assert not cloud.is_up(home)


def test_two_clouds_have_different_passwords() -> None:
    one, two = (fresh_settings(IPv4Network("10.77.16.0/20")) for _ in range(2))
    assert not set(one.passwords.values()) & set(two.passwords.values())
    assert len(set(one.passwords.values())) == len(one.passwords)
    assert len(one.passwords["heat_key"]) == 32  # what Heat's cipher takes


def test_clouds_yaml_has_the_user_and_the_administrator() -> None:
    settings = fresh_settings(IPv4Network("10.77.16.0/20"))
    clouds = yaml.safe_load(config.clouds_yaml(settings))["clouds"]
    assert list(clouds) == ["local", "local-admin"]
    assert clouds["local"]["auth"]["username"] == "demo"
    assert clouds["local"]["auth"]["auth_url"] == "http://10.77.16.1:5000/v3"


def test_the_fingerprint_follows_what_the_cloud_is_to_hold() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_exports_are_what_the_openstack_command_reads(tmp_path: Path) -> None:
    assert cloud.exports(Home(tmp_path, tmp_path)) == {
        "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"),
        "OS_CLOUD": "local",
    }
