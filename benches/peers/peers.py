"""The proxies that are compared: how each is configured and started."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import asking
import processes

HERE = Path(__file__).parent

TRAFFIC_SERVER_FILES = {
    "storage.config": "{dir}/store 3G\n",
    "remap.config": "map / http://127.0.0.1:{origin_port}/\n",
    "cache.config": "dest_host=127.0.0.1 prefix=pass/ action=never-cache\n",
    "ssl_multicert.config": "dest_ip=* ssl_cert_name=certificate.pem ssl_key_name=key.pem\n",
    "ip_allow.yaml": "ip_allow:\n  - {{apply: in, ip_addrs: 0/0, action: allow, methods: ALL}}\n",
    "runroot.yaml": "prefix: {dir}\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/bin\nsysconfdir: {dir}\n"
    "datadir: {dir}\nincludedir: /usr/include\nlibdir: /usr/lib/trafficserver\n"
    "libexecdir: /usr/lib/trafficserver/modules\nlocalstatedir: {dir}\nruntimedir: {dir}/run\nlogdir: {dir}/log\n"
    "mandir: /usr/share/man\ninfodir: /usr/share/info\ncachedir: {dir}/store\n",
}


@dataclass
class Peer:
    """A proxy: the templates it needs, its commands, and how to ask for its version."""

    name: str
    files: list
    commands: list
    version: list
    folders: list = field(default_factory=list)
    inline: dict = field(default_factory=dict)


PEERS = {
    peer.name: peer
    for peer in [
        Peer(
            "warmfront",
            ["warmfront.toml"],
            [["{target}/warmfront", "run", "--config", "{dir}/warmfront.toml"]],
            ["{target}/warmfront", "--version"],
        ),
        Peer(
            "nginx",
            ["nginx.conf"],
            [["nginx", "-p", "{dir}", "-c", "{dir}/nginx.conf", "-g", "daemon off;"]],
            ["nginx", "-v"],
        ),
        Peer("haproxy", ["haproxy.cfg"], [["haproxy", "-db", "-f", "{dir}/haproxy.cfg"]], ["haproxy", "-v"]),
        Peer(
            "varnish",
            ["varnish.vcl", "hitch.conf"],
            [
                "varnishd -F -j none -n {dir}/work -f {dir}/varnish.vcl -s malloc,2g -T none -a 127.0.0.1:{port} "
                "-a 127.0.0.1:{inner_port},PROXY -p feature=+http2 -p thread_pools=1 -p thread_pool_min=200 "
                "-p thread_pool_max=4000 -p timeout_idle=3600 -p listen_depth=4096".split(),
                ["hitch", "--config={dir}/hitch.conf"],
            ],
            ["varnishd", "-V"],
        ),
        Peer(
            "trafficserver",
            [],
            [["traffic_server", "--run-root={dir}/runroot.yaml"]],
            ["traffic_server", "--version"],
            folders=["run", "log", "store"],
            inline=TRAFFIC_SERVER_FILES,
        ),
    ]
}


@dataclass
class Ground:
    """What every candidate stands on: an origin, certificates, a folder in memory."""

    target: str
    origin_port: int
    certificates: Path
    folder: Path


@contextlib.contextmanager
def ground(target):
    """Starts the origin and makes a certificate; ends both, with all files."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = Path(tempfile.mkdtemp(prefix="peers-", dir=memory))
    origin = None
    try:
        # Servers that give up their rights must still reach their files.
        folder.chmod(0o755)
        certificates = folder / "certificates"
        certificates.mkdir()
        key, certificate = certificates / "key.pem", certificates / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
            + ["-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test,DNS:localhost,IP:127.0.0.1"]
            + ["-keyout", str(key), "-out", str(certificate)],
            check=True,
            capture_output=True,
        )
        (certificates / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
        (origin_port,) = ports(target, 1)
        origin = processes.start(
            processes.LOAD_CPU, [f"{target}/examples/load", "origin", str(origin_port)], folder / "origin.log"
        )
        asking.wait(origin_port, "/count", 10)
        yield Ground(target, origin_port, certificates, folder)
    finally:
        if origin:
            processes.stop([origin])
        shutil.rmtree(folder, ignore_errors=True)


def ports(target, count):
    return [int(port) for port in processes.run([f"{target}/examples/load", "ports", str(count)]).split()]


@dataclass
class Candidate:
    """A running peer."""

    name: str
    port: int
    tls_port: int
    running: list


@contextlib.contextmanager
def candidate(peer, at):
    """Starts `peer`, waits until it answers, and ends it with its files."""
    folder = at.folder / peer.name
    folder.mkdir()
    port, tls_port, inner_port = ports(at.target, 3)
    values = {
        "dir": folder,
        "port": port,
        "tls_port": tls_port,
        "inner_port": inner_port,
        "origin_port": at.origin_port,
        "target": at.target,
        "certificates": at.certificates,
        "certificate": at.certificates / "certificate.pem",
        "key": at.certificates / "key.pem",
        "pem": at.certificates / "both.pem",
    }
    running = []
    try:
        for name in peer.folders:
            (folder / name).mkdir()
        templates = {name: (HERE / "conf" / name).read_text() for name in peer.files} | peer.inline
        if peer.name == "trafficserver":
            templates["records.config"] = (HERE / "conf" / "trafficserver.config").read_text()
            shutil.copytree("/etc/trafficserver/body_factory", folder / "body_factory")
        for name, text in templates.items():
            (folder / name).write_text(text.format(**values))
        for command in peer.commands:
            command = [word.format(**values) for word in command]
            running.append(processes.start(processes.SERVER_CPU, command, folder / "output.log"))
        asking.wait(port, "/1k/ready", 30)
        yield Candidate(peer.name, port, tls_port, running)
    except Exception:
        with contextlib.suppress(OSError):
            print((folder / "output.log").read_text(errors="replace")[-2000:])
        raise
    finally:
        processes.stop(running)
        shutil.rmtree(folder, ignore_errors=True)


def version(peer, target):
    """What the program says of its version, in one line."""
    command = [word.format(target=target) for word in peer.version]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).strip().splitlines()[0]
