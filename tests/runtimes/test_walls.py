"""What the sandbox of this issue keeps out. The full list of probes is the security suite's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from headrace.core import errors
from headrace.functions import sandbox
from headrace.functions.sandbox import bubblewrap, plain
from tests.runtimes import stage as stages

pytestmark = pytest.mark.anyio

LOOK = """
import os, json, socket, resource
PLACES = ("/", "/code", "/usr", "/runtime", "/proc", "/dev", "/tmp", "/dev/shm")
LIMITS = ("NOFILE", "CORE", "STACK", "FSIZE")
def tried(action):
    try:
        return repr(action())
    except OSError as error:
        return type(error).__name__
def connect():
    with socket.create_connection(("127.0.0.1", 22), 1): pass
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp: udp.sendto(b"x", ("8.8.8.8", 53))
def handler(event, context):
    status = open("/proc/self/status").read().split()
    return {
        "uid": [os.getuid(), os.getgid()],
        "root": sorted(os.listdir("/")),
        "processes": sorted(n for n in os.listdir("/proc") if n.isdigit()),
        "write": [tried(lambda: open(p + "/x", "w").close()) for p in PLACES],
        "secret": os.path.exists(event.decode()),
        "network": [tried(connect), tried(send)],
        "hostname": os.uname().nodename,
        "capabilities": status[status.index("CapEff:") + 1],
        "limits": [resource.getrlimit(getattr(resource, "RLIMIT_" + k))[1] for k in LIMITS],
        "nested": os.system("unshare -U true 2>/dev/null") != 0,
    }
"""


async def test_code_sees_only_its_own_small_world(stage: stages.Stage, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    stage.deploy("look", LOOK, disk_mb=512)
    result = await stage.invoke("look", str(secret).encode())
    assert result.error_type is None, result.payload
    seen = json.loads(result.payload)
    assert seen["uid"] == [10000, 10000]
    assert {"code", "runtime", "tmp", "usr"} <= set(seen["root"])
    assert not {"home", "work", "var", "sys", "mnt", "opt", "boot"} & set(seen["root"])
    assert len(seen["processes"]) <= 2
    assert [text == "None" for text in seen["write"]] == [False] * 6 + [True] * 2
    assert not seen["secret"]
    assert seen["network"] == ["ConnectionRefusedError", "OSError"]
    assert seen["hostname"] == "fn"
    assert seen["capabilities"] == "0000000000000000"
    assert seen["limits"] == [1024, 0, 8 * 1024 * 1024, 512 * 1024 * 1024]
    assert seen["nested"]


async def test_tmp_is_as_large_as_the_disk_of_the_function(stage: stages.Stage) -> None:
    code = (
        "def handler(event, context):\n"
        "    written = 0\n"
        "    try:\n"
        "        for n in range(40):\n"
        "            with open(f'/tmp/{n}', 'wb') as out:\n"
        "                written += out.write(bytes(1 << 20)) if n < 40 else 0\n"
        "    except OSError as error:\n"
        "        return [written >> 20, error.errno]\n"
    )
    stage.deploy("fill", code, disk_mb=16, timeout_s=20)
    written, number = json.loads((await stage.invoke("fill")).payload)
    assert 15 <= written <= 16
    assert number == 28


async def test_instances_do_not_share_tmp(stage: stages.Stage) -> None:
    code = (
        "import os\ndef handler(e, c):\n"
        "    open('/tmp/mine', 'w').close()\n    return os.listdir('/tmp')\n"
    )
    for name in ("one", "two"):
        stage.deploy(name, code)
        assert (await stage.invoke(name)).payload == b'["mine"]'


async def test_variables_never_show_in_a_command_line(stage: stages.Stage) -> None:
    """Any user of the host may read /proc/*/cmdline."""
    stage.deploy("f", "def handler(e, c): return 'x'\n", environment={"KEY": "canary-7f3a"})
    await stage.invoke("f")
    lines = stages.command_lines()
    assert len(lines) >= 2
    assert not any(b"canary-7f3a" in line for line in lines)


async def test_variable_with_a_nul_cannot_smuggle_flags(stage: stages.Stage) -> None:
    forged = {"A": "x\0--bind\0/\0/code"}
    stage.deploy("f", "def handler(e, c): return 'x'\n", environment=forged)
    result = await stage.invoke("f")
    assert result.error_type == "FunctionNotStarted"
    assert b"NUL character" in result.payload


async def test_server_descriptors_stay_outside(stage: stages.Stage, tmp_path: Path) -> None:
    """Even one that was made inheritable on purpose."""
    path = tmp_path / "open"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    os.set_inheritable(descriptor, True)
    code = (
        "import os\ndef handler(e, c):\n"
        "    return [os.readlink(f'/proc/self/fd/{n}') for n in range(64)"
        " if os.path.lexists(f'/proc/self/fd/{n}')]\n"
    )
    stage.deploy("f", code)
    links = json.loads((await stage.invoke("f")).payload)
    os.close(descriptor)
    assert links[0] == "/dev/null"
    assert not [link for link in links[1:] if not link.startswith(("pipe:", "socket:"))]


def test_sandbox_that_cannot_work_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "candidates", lambda: iter(["/bin/false", "/nowhere/bwrap"]))
    with pytest.raises(errors.Unavailable) as caught:
        sandbox.choose()
    assert "/bin/false: exit status 1; /nowhere/bwrap: " in caught.value.message
    assert "--sandbox=none" in caught.value.remedy


async def test_without_a_sandbox_functions_run_as_plain_processes(tmp_path: Path) -> None:
    """Rung L0: only on demand, same contract, and it says so."""
    walls = sandbox.choose("none")
    assert isinstance(walls, plain.Plain)
    assert (walls.rung, "no sandbox" in walls.description) == ("L0", True)
    code = (
        "import os, subprocess\ndef handler(e, c):\n"
        "    subprocess.Popen(['/bin/sleep', '1000'])\n"
        "    print('hello')\n    return [os.environ['FC_FUNC_CODE_PATH'], os.getcwd(), __file__]\n"
    )
    async with stages.open_stage(tmp_path, walls) as stage:
        function = stage.deploy("f", code)
        result = await stage.invoke("f")
        place = str(stage.packages.cached(function.code_sha256))
        assert json.loads(result.payload) == [place, place, f"{place}/index.py"]
        assert result.memory_mb < 40, "not the memory of the server it was spawned from"
        assert "\nhello\n" in stage.records.log_of(result.request_id)
    assert not stage.processes()


SYSCTLS = """
import os
def handler(event, context):
    opened = []
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            try:
                os.close(os.open(folder + "/" + name, os.O_WRONLY | os.O_NONBLOCK))
                opened.append(name)
            except OSError:
                pass
    return opened
"""


async def test_settings_of_the_kernel_cannot_be_written(stage: stages.Stage) -> None:
    """Under a server run as root, code in the sandbox is the owner of /proc/sys: core_pattern
    would start any program outside.
    """
    stage.deploy("sysctls", SYSCTLS, timeout_s=20)
    assert (await stage.invoke("sysctls")).payload == b"[]"
