"""Fill an empty cloud through its own APIs: accounts, endpoints, network, flavors, image.

Reads one JSON document on standard input. Everything is made only if it is not there yet, so
it can be run again over what a killed run left; it waits for each service to answer.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

ANSWER_SECONDS = 120


class Cloud:
    """The admin's session, and one sentence for each thing to make."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.address = wanted["address"]
        self.session = session.Session(
            v3.Password(
                auth_url=f"http://{self.address}:5000/v3",
                username="admin",
                password=wanted["passwords"]["admin"],
                project_name="admin",
                user_domain_id="default",
                project_domain_id="default",
            )
        )

    def call(self, method, url, body=None, **more):
        """The JSON of a reply; {} when there is none."""
        reply = self.session.request(url, method, json=body, connect_retries=0, **more)
        return reply.json() if reply.content else {}

    def keystone(self, method, path, body=None):
        """A call of the identity service."""
        return self.call(method, f"http://{self.address}:5000/v3{path}", body)

    def made(self, kind, **fields):
        """The id of a thing in keystone, by its name; made when there is none."""
        plural = f"{kind}s"
        domain = f"&domain_id={fields['domain_id']}" if "domain_id" in fields else ""
        found = self.keystone("GET", f"/{plural}?name={fields['name']}{domain}")[plural]
        found = found or [self.keystone("POST", f"/{plural}", {kind: fields})[kind]]
        return found[0]["id"]

    def granted(self, user, role, *, project=None, domain=None):
        """Give a user a role in a project or a domain."""
        place = f"projects/{project}" if project else f"domains/{domain}"
        self.keystone("PUT", f"/{place}/users/{user}/roles/{role}")

    # -- accounts

    def accounts(self):
        """Users, projects, roles and the catalog; the id of the user's project."""
        words = self.wanted["passwords"]
        # Alone: while the first request loads the policies, others would be refused.
        self.keystone("GET", "/roles")
        with ThreadPoolExecutor(6) as pool:
            roles_ready = [
                pool.submit(self.made, "role", name=name)
                for name in ("admin", "member", "service", "heat_stack_owner", "heat_stack_user")
            ]
            service = pool.submit(self.made, "project", name="service", domain_id="default")
            demo_project = pool.submit(self.made, "project", name="demo", domain_id="default")
            heat_domain = pool.submit(self.made, "domain", name="heat")
            admin, member, service_role, owner, _ = [one.result() for one in roles_ready]
            jobs = [
                pool.submit(self.service_user, name, words[name], service.result(),
                            (admin, service_role))
                for name in ("glance", "placement", "neutron", "nova", "heat")
            ]  # fmt: skip
            jobs.append(pool.submit(self.heat_admin, heat_domain.result(), admin))
            jobs.append(pool.submit(self.demo_user, demo_project.result(), (member, owner)))
            jobs += [pool.submit(self.catalogued, *entry) for entry in self.wanted["catalog"]]
            for job in jobs:
                job.result()
            admin_user = self.made("user", name="admin", domain_id="default")
            self.granted(admin_user, owner, project=self.made("project", name="admin"))
        return demo_project.result()

    def service_user(self, name, password, project, roles):
        """The account that a service uses to speak to the others."""
        user = self.made("user", name=name, password=password, domain_id="default")
        for role in roles:
            self.granted(user, role, project=project)

    def heat_admin(self, domain, admin):
        """The account with which heat makes a user for each node's signals."""
        user = self.made(
            "user",
            name="heat_domain_admin",
            password=self.wanted["passwords"]["heat_domain_admin"],
            domain_id=domain,
        )
        self.granted(user, admin, domain=domain)

    def demo_user(self, project, roles):
        """The ordinary user that clouds.yaml names."""
        user = self.made(
            "user",
            name="demo",
            password=self.wanted["passwords"]["demo"],
            domain_id="default",
            default_project_id=project,
        )
        for role in roles:
            self.granted(user, role, project=project)

    def catalogued(self, name, kind, url):
        """One service of the catalog with its public endpoint."""
        service = self.made("service", name=name, type=kind)
        path = f"/endpoints?service_id={service}&interface=public"
        if not self.keystone("GET", path)["endpoints"]:
            endpoint = {
                "service_id": service,
                "interface": "public",
                "url": url,
                "region_id": self.wanted["region"],
            }
            self.keystone("POST", "/endpoints", {"endpoint": endpoint})

    # -- what the services hold

    def network(self):
        """The one flat network, shared by all projects, and its subnet."""
        base = f"http://{self.address}:9696/v2.0"
        found = self.call("GET", f"{base}/networks?name=local")["networks"]
        wanted = {
            "name": "local",
            "shared": True,
            "provider:network_type": "flat",
            "provider:physical_network": "local",
            "mtu": self.wanted["mtu"],
        }
        network = (
            found[0] if found
            else self.call("POST", f"{base}/networks", {"network": wanted})["network"]
        )  # fmt: skip
        if not network["subnets"]:
            subnet = {
                "network_id": network["id"],
                "name": "local",
                "ip_version": 4,
                "cidr": self.wanted["subnet"],
                "gateway_ip": self.address,
                "enable_dhcp": False,
                "dns_nameservers": self.wanted["name_servers"],
                "allocation_pools": [self.wanted["pool"]],
            }
            self.call("POST", f"{base}/subnets", {"subnet": subnet})

    def flavors(self):
        """The flavors: name, vCPUs, MiB of memory, GiB of disk."""
        base = f"http://{self.address}:8774/v2.1"
        found = {flavor["name"] for flavor in self.call("GET", f"{base}/flavors")["flavors"]}
        for name, vcpus, ram, disk in self.wanted["flavors"]:
            if name not in found:
                flavor = {"name": name, "vcpus": vcpus, "ram": ram, "disk": disk}
                self.call("POST", f"{base}/flavors", {"flavor": flavor})

    def image(self):
        """The image, uploaded from the file it was built into."""
        base = f"http://{self.address}:9292/v2/images"
        name, recipe = self.wanted["image"]["name"], self.wanted["image"]["recipe"]
        for image in self.call("GET", f"{base}?name={name}&visibility=public")["images"]:
            if image["status"] == "active" and image.get("cm_recipe") == recipe:
                return
            # Half uploaded, or of an older program; nodes keep the files they started from.
            self.call("DELETE", f"{base}/{image['id']}")
        image = {
            "name": name,
            "visibility": "public",
            "disk_format": "raw",
            "container_format": "bare",
            "os_distro": "debian",
            "os_version": "12",
            "default_user": "debian",
            "cm_recipe": recipe,
        }
        made = self.call("POST", base, image)
        with open(self.wanted["image"]["file"], "rb") as content:
            self.session.put(
                f"{base}/{made['id']}/file",
                data=content,
                headers={"Content-Type": "application/octet-stream"},
            )


def when_it_answers(step):
    """Do a step as soon as the services it needs answer; the last trouble if they never do."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return step()
        except (
            exceptions.ConnectFailure,
            exceptions.ServiceUnavailable,
            exceptions.InternalServerError,
            exceptions.Unauthorized,
            exceptions.GatewayTimeout,
        ):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main():
    """Accounts first, then everything else side by side."""
    cloud = Cloud(json.load(sys.stdin))
    when_it_answers(cloud.accounts)
    with ThreadPoolExecutor(3) as pool:
        steps = (cloud.network, cloud.flavors, cloud.image)
        for job in [pool.submit(when_it_answers, step) for step in steps]:
            job.result()


if __name__ == "__main__":
    main()
