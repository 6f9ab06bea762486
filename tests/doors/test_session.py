"""Which cloud is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cloudmesh_cluster.doors.session import Places, cloud_entry
from cloudmesh_cluster.model.errors import NotFound, UsageError

AUTH = {
    "auth_url": "http://192.0.2.1:5000/v3",
    "username": "u",
    "password": "p",
    "project_name": "x",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}
VERSION_4 = {
    "cloudmesh": {
        "clouds": {
            "old": {
                "cm_type": "openstack",
                "credentials": {
                    "OS_AUTH_URL": "http://192.0.2.4:5000/v3",
                    "OS_USERNAME": "four",
                    "OS_PASSWORD": "p",
                    "OS_TENANT_NAME": "t",
                },
            },
            "amazon": {"cm_type": "ec2", "credentials": {"EC2_ACCESS_KEY": "a"}},
        }
    }
}
VERSION_5 = {
    "cloudmesh": {
        "cloud": {
            "new": {
                "cm": {"kind": "openstack"},
                "credentials": {"auth": {**AUTH, "username": "five"}, "region_name": "R"},
            },
            "azure": {"cm": {"kind": "azure"}, "credentials": {"x": 1}},
        }
    }
}


@pytest.fixture
def places(home: Path) -> Places:
    return Places({}, home, home / "embedded.yaml")


def clouds_yaml(home: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    file = home / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": {name: {"auth": AUTH} for name in names}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))


def cloudmesh_yaml(home: Path, content: object) -> None:
    (home / ".cloudmesh").mkdir()
    (home / ".cloudmesh" / "cloudmesh.yaml").write_text(yaml.safe_dump(content))


def test_with_nothing_configured_none_is_meant(places: Places) -> None:
    assert cloud_entry(None, places) is None


def test_the_name_given_wins_over_os_cloud(
    places: Places, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds_yaml(home, monkeypatch, "a", "b")
    named = Places({"OS_CLOUD": "b"}, home, places.embedded_file)

    for given, meant in (("a", "a"), (None, "b")):
        entry = cloud_entry(given, named)
        assert entry is not None
        assert (entry.name, entry.source) == (meant, "clouds.yaml")


def test_of_several_clouds_the_user_says_which(
    places: Places, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds_yaml(home, monkeypatch, "a", "b")
    with pytest.raises(UsageError, match="several clouds: a, b"):
        cloud_entry(None, places)


def test_the_only_cloud_needs_no_name(
    places: Places, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds_yaml(home, monkeypatch, "only")
    entry = cloud_entry(None, places)
    assert entry is not None
    assert entry.name == "only"


def test_variables_are_a_cloud(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {f"OS_{key.upper()}": value for key, value in AUTH.items()}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    entry = cloud_entry(None, Places(variables, home, home / "none"))
    assert entry is not None
    assert entry.region.config["auth"]["username"] == "u"


@pytest.mark.parametrize(
    ("content", "name", "username"), [(VERSION_4, "old", "four"), (VERSION_5, "new", "five")]
)
def test_both_layouts_of_cloudmesh_yaml_are_read(
    places: Places, home: Path, content: object, name: str, username: str
) -> None:
    cloudmesh_yaml(home, content)

    for given in (None, name):
        entry = cloud_entry(given, places)
        assert entry is not None
        assert (entry.name, entry.source) == (name, "cloudmesh.yaml")
        assert entry.region.config["auth"]["username"] == username


def test_a_cloud_that_is_not_there_is_told_with_those_that_are(places: Places, home: Path) -> None:
    cloudmesh_yaml(home, VERSION_5)
    with pytest.raises(NotFound) as told:
        cloud_entry("moon", places)
    assert "There are: new, local." in str(told.value)


def test_a_cloudmesh_yaml_that_is_broken_is_named(places: Places, home: Path) -> None:
    cloudmesh_yaml(home, {"cloudmesh": {"cloud": ["a list"]}})
    with pytest.raises(UsageError, match=r"cloudmesh\.yaml cannot be read"):
        cloud_entry(None, places)
