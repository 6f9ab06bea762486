"""What is asked of the embedded cloud with the administrator's account."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cloudmesh_cluster.local import config
from cloudmesh_cluster.local.home import Settings
from cloudmesh_cluster.model.errors import CloudError

# Short: a question that reached Heat before its engine was there is never answered.
ASK_SECONDS = 4
UPLOAD_SECONDS = 300
FIRST_QUESTIONS = (
    (5000, "/v3/roles"),
    (9292, "/v2/images?limit=1"),
    (9696, "/v2.0/networks?limit=1"),
    (8774, "/v2.1/flavors?limit=1"),
)
IMAGES = (9292, "/v2/images")
AGGREGATES = (8774, "/v2.1/os-aggregates")


class Admin:
    """The administrator; logs in at the first question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token = ""
        self._project = ""

    # -- services

    def silent_workers(self, since: float) -> tuple[str, ...]:
        """The daemons that have not reported since then (seconds since 1970)."""
        try:
            nova = self._services(f"http://{self._settings.address}:8774/v2.1/os-services")
            heat = self._services(
                f"http://{self._settings.address}:8004/v1/{self._project}/services"
            )
        except (OSError, ValueError):
            self._token = ""
            return ("nova-compute", "heat-engine")
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
        reported = {
            str(one["binary"])
            for one in (*nova, *heat)
            if str(one.get("updated_at") or one.get("created_at") or "") >= moment
        }
        wanted = ("nova-conductor", "nova-scheduler", "nova-compute", "heat-engine")
        return tuple(name for name in wanted if name not in reported)

    def first_question_of_each(self) -> None:
        """Let each API load its policies: while one does, it refuses what comes at that moment."""
        for port, path in FIRST_QUESTIONS:
            self._ask("GET", port, path)

    # -- images

    def images(self, name: str = "") -> list[dict[str, Any]]:
        """The images of everybody, or those of one name, as Glance tells of them."""
        port, path = IMAGES
        chosen = f"&name={quote(name)}" if name else ""
        found: list[dict[str, Any]] = self._ask("GET", port, f"{path}?limit=1000{chosen}")["images"]
        return found

    def upload(self, image: Mapping[str, str], file: Path) -> dict[str, Any]:
        """A new image with that content; when that fails or is interrupted, there is none."""
        port, path = IMAGES
        made: dict[str, Any] = self._ask("POST", port, path, image)
        try:
            with file.open("rb") as content:
                self._ask("PUT", port, f"{path}/{made['id']}/file", content)
        except BaseException:
            with suppress(CloudError):
                self.delete_image(made["id"])
            raise
        return made

    def delete_image(self, image_id: str) -> None:
        """Delete an image; one that is gone already is deleted."""
        port, path = IMAGES
        self._ask("DELETE", port, f"{path}/{image_id}", missing_ok=True)

    def unpack_ahead(self, image_ids: Iterable[str]) -> None:
        """Have Nova fetch and unpack images now, so that their first node need not wait for it."""
        port, path = AGGREGATES
        found = [
            one for one in self._ask("GET", port, path)["aggregates"] if one["name"] == "local"
        ]
        if not found:
            made = self._ask("POST", port, path, {"aggregate": {"name": "local"}})["aggregate"]
            self._ask("POST", port, f"{path}/{made['id']}/action",
                      {"add_host": {"host": config.HOST}})  # fmt: skip
            found = [made]
        cache = [{"id": one} for one in image_ids]
        self._ask("POST", port, f"{path}/{found[0]['id']}/images", {"cache": cache})

    # -- asking

    def _ask(
        self, method: str, port: int, path: str, body: Any = None, *, missing_ok: bool = False
    ) -> Any:
        """The JSON of a reply, {} when there is none; a body is JSON, or the content of a file."""
        url = f"http://{self._settings.address}:{port}{path}"
        seconds = UPLOAD_SECONDS if method == "PUT" else 30
        try:
            if not self._token:
                self._log_in()
            with self._opener.open(self._request(method, url, body), timeout=seconds) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            if missing_ok and error.code == 404:
                return {}
            said = error.read().decode(errors="replace").strip() or error.reason
            raise CloudError(f"{method} {path}: {error.code}: {said[:500]}") from error
        except OSError as error:
            raise CloudError(f"{method} {path}: {error}") from error
        return json.loads(text) if text else {}

    def _request(self, method: str, url: str, body: Any) -> urllib.request.Request:
        headers = {
            "X-Auth-Token": self._token,
            "OpenStack-API-Version": "compute 2.81",  # the first that unpacks ahead
        }
        if hasattr(body, "fileno"):
            headers["Content-Type"] = "application/octet-stream"
            headers["Content-Length"] = str(Path(body.name).stat().st_size)
            return urllib.request.Request(url, data=body, headers=headers, method=method)
        headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(url, data=data, headers=headers, method=method)

    def _services(self, url: str) -> list[dict[str, object]]:
        if not self._token:
            self._log_in()
            url = url.replace("/v1//", f"/v1/{self._project}/")
        request = urllib.request.Request(url, headers={"X-Auth-Token": self._token})
        with self._opener.open(request, timeout=ASK_SECONDS) as reply:
            found: list[dict[str, object]] = json.load(reply)["services"]
            return found

    def _log_in(self) -> None:
        domain = {"id": "default"}
        user = {"name": "admin", "domain": domain, "password": self._settings.passwords["admin"]}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": "admin", "domain": domain}},
            }
        }
        request = urllib.request.Request(
            f"http://{self._settings.address}:5000/v3/auth/tokens",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=ASK_SECONDS) as reply:
            self._token = reply.headers["X-Subject-Token"]
            self._project = json.load(reply)["token"]["project"]["id"]
