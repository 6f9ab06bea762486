"""Nova's servers as systemd-nspawn machines; loaded by nova-compute as its compute driver.

The words here are Nova's (instance, image, vif) where its interface says so, and ours (node)
where the machine itself is meant. What a node is on disk and in the kernel is in cm_machine.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import ClassVar

import cm_machine
import os_resource_classes
from nova import exception
from nova.api.metadata import base as instance_metadata
from nova.compute import power_state
from nova.image import glance
from nova.objects import fields
from nova.virt import driver, hardware
from nova.virt import node as local_node
from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
CONF = cfg.CONF
CONF.import_opt("instances_path", "nova.conf")
CONF.register_opts(
    [
        cfg.StrOpt("bridge", help="The bridge that every node is plugged into."),
        cfg.StrOpt("cloud", help="The name of this cloud; marks its processes and machines."),
        cfg.IntOpt("mtu", default=1500, help="The MTU of the network, in bytes."),
        cfg.StrOpt("images_path", help="Where images are unpacked, one folder for each id."),
        cfg.StrOpt("resolv_conf", help="The /etc/resolv.conf that nodes start with."),
    ],
    group="cm_cloud",
)

CONSOLE_BYTES = 256 * 1024
WATCH_SECONDS = 0.5
MIB = 1024 * 1024
GIB = 1024 * MIB


class NodeDriver(driver.ComputeDriver):
    """Nodes on this machine: spawned from a Glance image, stopped, started and destroyed."""

    capabilities: ClassVar = {
        **driver.ComputeDriver.capabilities,
        "supports_attach_interface": True,
        "supports_evacuate": False,
        "supports_migrate_to_same_host": False,
    }

    def __init__(self, virtapi):
        super().__init__(virtapi)
        self._images = Path(CONF.cm_cloud.images_path)
        self._image_api = glance.API()

    # -- the host

    def init_host(self, host):
        """Start the watch that plugs a node again after it rebooted itself."""
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def get_available_nodes(self, refresh=False):
        """The one hypervisor: this machine."""
        return [CONF.host]

    def get_host_ip_addr(self):
        """The bridge's address."""
        return CONF.my_ip

    def get_available_resource(self, nodename):
        """What the machine has and how much of it the nodes' flavors have been promised."""
        memory = _memory_mib()
        disk = shutil.disk_usage(CONF.instances_path)
        return {
            "uuid": local_node.get_local_node_uuid(),
            "hypervisor_type": "nspawn",
            "hypervisor_version": 1,
            "hypervisor_hostname": CONF.host,
            "vcpus": os.cpu_count(),
            "vcpus_used": 0,
            "memory_mb": memory["MemTotal"],
            "memory_mb_used": memory["MemTotal"] - memory["MemAvailable"],
            "local_gb": disk.total // GIB,
            "local_gb_used": disk.used // GIB,
            "disk_available_least": disk.free // GIB,
            "cpu_info": json.dumps({"arch": os.uname().machine}),
            "numa_topology": None,
            "supported_instances": [
                (os.uname().machine, fields.HVType.LXC, fields.VMMode.EXE),
            ],
        }

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        """The inventory from which placement decides what still fits."""
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        totals = {
            os_resource_classes.VCPU: (os.cpu_count(), CONF.reserved_host_cpus),
            os_resource_classes.MEMORY_MB: (
                _memory_mib()["MemTotal"],
                CONF.reserved_host_memory_mb,
            ),
            # Free space, not the whole disk: what others wrote is not ours to promise.
            os_resource_classes.DISK_GB: (
                max(1, shutil.disk_usage(CONF.instances_path).free // GIB),
                self._get_reserved_host_disk_gb_from_config(),
            ),
        }
        provider_tree.update_inventory(
            nodename,
            {
                name: {
                    "total": total,
                    "min_unit": 1,
                    "max_unit": total,
                    "step_size": 1,
                    "allocation_ratio": ratios[name],
                    "reserved": min(reserved, total - 1),
                }
                for name, (total, reserved) in totals.items()
            },
        )

    # -- what there is

    def list_instances(self):
        """The names Nova gave to the nodes on this machine."""
        return [machine.record().name for machine in self._machines()]

    def list_instance_uuids(self):
        """The ids of the nodes on this machine."""
        return [machine.uuid for machine in self._machines()]

    def get_info(self, instance, use_cache=True):
        """Whether the node runs; Nova's InstanceNotFound when there is no such node."""
        machine = self._machine(instance)
        if not machine.exists():
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        running = machine.running()
        return hardware.InstanceInfo(
            state=power_state.RUNNING if running else power_state.SHUTDOWN,
            internal_id=instance.uuid,
        )

    def get_console_output(self, context, instance):
        """The end of what the node wrote to its console."""
        return self._machine(instance).console_tail(CONSOLE_BYTES)

    # -- the life of a node

    def spawn(
        self,
        context,
        instance,
        image_meta,
        injected_files,
        admin_password,
        allocations,
        network_info=None,
        block_device_info=None,
        power_on=True,
        accel_info=None,
    ):
        """Make the node from its image and start it; on failure nothing of it is left."""
        machine = self._machine(instance)
        try:
            image = self._unpacked_image(context, instance.image_ref)
            machine.destroy()
            machine.create(instance.name, image=image, vifs=_vifs(network_info))
            machine.write_config_drive(
                _config_drive(instance, injected_files, admin_password, network_info)
            )
            if power_on:
                machine.start()
        except exception.NovaException:
            machine.destroy()
            raise
        except Exception as error:
            machine.destroy()
            raise exception.InstanceDeployFailure(reason=_said(error)) from error

    def destroy(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        destroy_disks=True,
        destroy_secrets=True,
    ):
        """End the node and remove everything of it, whatever state it was in."""
        self._machine(instance).destroy()

    def cleanup(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        destroy_disks=True,
        migrate_data=None,
        destroy_vifs=True,
        destroy_secrets=True,
    ):
        """Remove what a half-made node left."""
        self._machine(instance).destroy()

    def power_off(self, instance, timeout=0, retry_interval=0):
        """Shut the node down; after `timeout` seconds (0: at once) end it."""
        self._machine(instance).stop(timeout)

    def power_on(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        accel_info=None,
        share_info=None,
    ):
        """Start a node that was shut down."""
        machine = self._machine(instance)
        if not machine.exists():
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        try:
            machine.replug(_vifs(network_info))
            machine.start()
        except Exception as error:
            raise exception.InstancePowerOnFailure(reason=_said(error)) from error

    def reboot(
        self,
        context,
        instance,
        network_info,
        reboot_type,
        block_device_info=None,
        bad_volumes_callback=None,
        accel_info=None,
        share_info=None,
    ):
        """Stop (SOFT: by a clean shutdown, HARD: at once) and start."""
        machine = self._machine(instance)
        try:
            machine.stop(CONF.shutdown_timeout if reboot_type == "SOFT" else 0)
            machine.replug(_vifs(network_info))
            machine.start()
        except Exception as error:
            raise exception.InstanceRebootFailure(reason=_said(error)) from error

    def resume_state_on_host_boot(
        self, context, instance, network_info, share_info, block_device_info=None
    ):
        """Start a node that ran before the machine or the cloud went down."""
        self.power_on(context, instance, network_info, block_device_info)

    # -- networks

    def plug_vifs(self, instance, network_info):
        """Plugging happens when a node starts; there is nothing to do before."""

    def unplug_vifs(self, instance, network_info):
        """The kernel removes both ends of a cable when its node ends."""

    def attach_interface(self, context, instance, image_meta, vif):
        """Plug one more cable into the node, now if it runs, else at its next start."""
        machine = self._machine(instance)
        machine.replug((*machine.record().vifs, *_vifs([vif])))
        machine.plug_missing()

    def detach_interface(self, context, instance, vif):
        """Pull one cable out of the node."""
        machine = self._machine(instance)
        gone = {one.port for one in _vifs([vif])}
        machine.replug(one for one in machine.record().vifs if one.port not in gone)
        for port in gone:
            machine.unplug(port)

    # -- inside

    def _machine(self, instance):
        return self._machine_of(instance.uuid)

    def _machine_of(self, uuid):
        return cm_machine.Machine(
            uuid=uuid,
            home=Path(CONF.instances_path),
            cloud=CONF.cm_cloud.cloud,
            bridge=CONF.cm_cloud.bridge,
            mtu=CONF.cm_cloud.mtu,
            resolv_conf=Path(CONF.cm_cloud.resolv_conf),
        )

    def _machines(self):
        found = (self._machine_of(path.name) for path in Path(CONF.instances_path).iterdir())
        return [machine for machine in found if machine.exists()]

    def _watch(self):
        """A node that reboots itself gets a new network namespace: give it its cables again."""
        while True:
            time.sleep(WATCH_SECONDS)
            for machine in self._machines():
                try:
                    machine.plug_missing()
                except Exception as error:
                    LOG.warning("node %s: %s", machine.uuid, _said(error))

    def cache_image(self, context, image_id):
        """Fetch and unpack an image ahead of its first node; whether there was need to."""
        if (self._images / image_id).is_dir():
            return False
        self._unpacked_image(context, image_id)
        return True

    def _unpacked_image(self, context, image_id):
        """The folder with the image's files: fetched from Glance and unpacked the first time."""
        if not image_id:
            raise exception.InstanceDeployFailure(
                reason="this cloud has no volumes: a server needs an image to start from"
            )
        folder = self._images / image_id
        with lockutils.lock(f"image-{image_id}"):
            if not folder.is_dir():
                archive = self._images / f"{image_id}.archive"
                try:
                    self._image_api.download(context, image_id, dest_path=str(archive))
                    _unpack(archive, folder, image_id)
                finally:
                    archive.unlink(missing_ok=True)
        return folder


def _unpack(archive, folder, image_id):
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        done = subprocess.run(
            ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*",
             "--directory", partial, "--file", archive],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["tar failed"]
            raise exception.ImageUnacceptable(
                image_id=image_id, reason=f"not a tar archive of a root file system: {words[-1]}"
            )
        if not os.path.lexists(partial / "sbin/init"):
            raise exception.ImageUnacceptable(
                image_id=image_id, reason="it has no /sbin/init, so no node can start from it"
            )
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _config_drive(instance, injected_files, admin_password, network_info):
    """(path, content) of each file that a real cloud would put on the config drive."""
    extra = {"admin_pass": admin_password} if admin_password else {}
    metadata = instance_metadata.InstanceMetadata(
        instance, content=injected_files, extra_md=extra, network_info=network_info
    )
    return metadata.metadata_for_config_drive()


def _vifs(network_info):
    return tuple(cm_machine.Vif(port=vif["id"], mac=vif["address"]) for vif in (network_info or ()))


def _memory_mib():
    lines = Path("/proc/meminfo").read_text().splitlines()
    pairs = (line.split(":") for line in lines)
    return {name: int(value.split()[0]) // 1024 for name, value in pairs}


def _said(error):
    """What went wrong in the words of the tool that said it."""
    stderr = getattr(error, "stderr", None)
    return (stderr or "").strip() or str(error)
