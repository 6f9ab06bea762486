"""The image debian-12: a Debian that cloud-init sets up, as a compressed archive of its files."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from cloudmesh_cluster.local.home import IMAGE_NAME, Home
from cloudmesh_cluster.local.processes import run
from cloudmesh_cluster.model.errors import CloudError

SUITE = "bookworm"
PACKAGES = (
    "systemd", "systemd-sysv", "libpam-systemd", "dbus", "cloud-init", "openssh-server",
    "python3-minimal", "sudo", "iproute2", "iputils-ping", "netbase", "curl", "ca-certificates",
    "procps", "less", "debian-archive-keyring",
)  # fmt: skip
FILES = Path(__file__).parent / "etc" / "image"
OTHER_AUTHORITIES = Path("/usr/local/share/ca-certificates")
# What has no meaning in a machine without hardware, or would only cost time at boot.
MASKED = (
    "console-getty.service", "getty@tty1.service", "systemd-resolved.service",
    "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "dpkg-db-backup.timer", "systemd-timesyncd.service", "systemd-pstore.service",
    "cloud-init-hotplugd.socket",
)  # fmt: skip


def recipe() -> str:
    """A short word that changes when what is in the image does."""
    parts = [Path(__file__), *sorted(path for path in FILES.rglob("*") if path.is_file())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()[:12]


def file(home: Home) -> Path:
    """The image as it is uploaded."""
    return home.software / f"{IMAGE_NAME}-{recipe()}.tar.zst"


def apt_sources(etc: Path = Path("/etc/apt")) -> tuple[Path, ...]:
    """The machine's own sources that carry this Debian: its mirrors are known to work."""
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    found = tuple(
        path
        for path in files
        if path.suffix in (".list", ".sources") and path.is_file() and SUITE in _active(path)
        and "debian" in path.read_text()
    )  # fmt: skip
    if not found:
        raise CloudError(
            f"none of this machine's apt sources carries Debian 12 ({SUITE})",
            f"Add one below {etc}/sources.list.d and run `apt-get update`.",
        )
    return tuple(path for path in found if path.name == "debian.sources") or found


def _active(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def apt_settings() -> str:
    """How this machine's apt reaches its sources: proxies and the like."""
    kept = ("Acquire::http", "Acquire::https", "Acquire::Check-")
    lines = run("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith(kept))


def build(target: Path) -> None:
    """Build the image into `target`; on failure there is no such file."""
    partial = target.with_suffix(".partial")
    with tempfile.TemporaryDirectory(prefix="cm-image-") as name:
        overlay = Path(name) / "overlay"
        _lay_out(overlay)
        hook = Path(name) / "customize"
        hook.write_text(_customize())
        hook.chmod(0o755)
        try:
            run(
                "mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
                f"--customize-hook=copy-in {' '.join(map(str, overlay.iterdir()))} /",
                f"--customize-hook={hook} \"$1\"",
                SUITE, partial.with_suffix(".tar"), *apt_sources(),
                environ=_network_settings(), seconds=1800,
            )  # fmt: skip
            run("zstd", "--quiet", "--force", "-T0", "-6", "--rm",
                partial.with_suffix(".tar"), "-o", partial)  # fmt: skip
            partial.replace(target)
            for old in target.parent.glob(f"{IMAGE_NAME}-*.tar.zst"):
                if old != target:
                    old.unlink()
        finally:
            partial.unlink(missing_ok=True)
            partial.with_suffix(".tar").unlink(missing_ok=True)


def _lay_out(overlay: Path) -> None:
    """The files that make it a cloud image, and what lets its apt and TLS work here."""
    shutil.copytree(FILES, overlay)
    apt = overlay / "etc/apt/apt.conf.d"
    apt.mkdir(parents=True)
    (apt / "90host").write_text(apt_settings())
    authorities = overlay / "usr/local/share/ca-certificates"
    authorities.mkdir(parents=True)
    for certificate in OTHER_AUTHORITIES.glob("*.crt"):
        shutil.copyfile(certificate, authorities / certificate.name)


def _network_settings() -> dict[str, str]:
    """The environment for apt, without what would change how Python works in the image."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def _customize() -> str:
    masked = " ".join(MASKED)
    return f"""#!/bin/sh
set -e
root="$1"
chroot "$root" update-ca-certificates >/dev/null
chroot "$root" systemctl --quiet enable systemd-networkd.service ssh.service
for unit in {masked}; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/resolv.conf"
: >"$root/etc/machine-id"
: >"$root/etc/resolv.conf"
rm -f "$root/var/lib/dbus/machine-id"
mkdir -p "$root/var/lib/cloud/seed"
rm -rf "$root"/var/cache/apt/archives/*.deb
"""
