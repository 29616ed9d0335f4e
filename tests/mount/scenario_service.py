"""A mount as a service: it says when it is ready, reads its configuration again on SIGHUP, tells on SIGUSR1 what it is
doing, and logs where it is told to."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from harness import (CLIENT_SECRET, CREDENTIALS, RUN_MAX_S, START_MAX_S, STOP_MAX_S, Bench, Program, claim,
                     claim_of_root, errno_of, main, malqueryd, malqueryfs, mount_flags, processes_of, same, until)
from proxy import Stall, trickle


class Manager:
    """Who started the service: the socket at NOTIFY_SOCKET."""

    def __init__(self, bench: Bench) -> None:
        self.path = bench.directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(START_MAX_S)

    def hears(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def has_heard(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])


def write_config(bench: Bench, text: str) -> Path:
    """As an editor does it, with a new file in the place of the old one."""
    file = bench.directory / "config.ini"
    new = file.with_suffix(".new")
    new.write_text(f"[default]\nbase_url = {bench.proxy.url}\nstate_dir = {bench.state}\ncache_dir = {bench.cache}\n{text}")
    new.chmod(0o600)
    new.rename(file)
    return file


def serve(bench: Bench, *arguments: str | Path, prefix: Sequence[str] = ("setsid",), wait: bool = True,
          **variables: str | Path) -> None:
    """In the foreground and without a terminal, like systemd starts it; with the file of write_config()."""
    bench.program = Program(
        [*prefix, malqueryfs(), "-f", "-o", f"config={bench.directory}/config.ini", *arguments, bench.root],
        {**bench.environment, **CREDENTIALS, **{name: str(value) for name, value in variables.items()}},
        bench.logs / "malqueryfs.log")
    if wait:
        until(lambda: mount_flags(bench.root) or not bench.program.is_running(), START_MAX_S, "the mount")
        assert bench.program.is_running(), bench.program.wait()


def log(bench: Bench) -> str:
    return bench.program.log.read_text()


def said_of_reload(bench: Bench) -> str:
    """The last line about it; the start, which still goes on, may have written after it."""
    return [line for line in log(bench).splitlines() if " op=reload " in line][-1]


def hang_up(bench: Bench, line: str) -> None:
    """SIGHUP; `line` is what the log says of it."""
    before = log(bench).count(line)
    bench.program.process.send_signal(signal.SIGHUP)
    until(lambda: log(bench).count(line) > before, STOP_MAX_S, line)


# ---- sd_notify ----


@claim(mounted=False)
def it_says_when_it_is_ready_reloads_and_stops(bench: Bench) -> None:
    manager = Manager(bench)
    write_config(bench, "")
    serve(bench, wait=False, NOTIFY_SOCKET=manager.path)
    same(manager.hears(), {"READY": "1", "STATUS": f"mounted on {bench.root}"})
    assert bench.read("README"), "not usable"
    before_us = time.monotonic_ns() // 1000
    bench.program.process.send_signal(signal.SIGHUP)
    reloading = manager.hears()
    same(reloading["RELOADING"], "1")
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, reloading
    same(manager.hears()["READY"], "1")
    bench.program.process.terminate()
    same(manager.hears(), {"STOPPING": "1"})
    same(bench.program.wait(), 0)
    bench.program = None


@claim(mounted=False)
def a_watchdog_is_fed(bench: Bench) -> None:
    manager = Manager(bench)
    write_config(bench, "")
    serve(bench, wait=False, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="200000")
    same(manager.hears()["READY"], "1")
    for _ in range(3):
        same(manager.hears(), {"WATCHDOG": "1"})


@claim(mounted=False)
def a_watchdog_is_fed_however_often_it_is_asked_something(bench: Bench) -> None:
    manager = Manager(bench)
    write_config(bench, "")
    serve(bench, wait=False, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")
    same(manager.hears()["READY"], "1")
    for _ in range(20):
        bench.program.process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
    assert manager.has_heard(), "no sign of life meanwhile"
    same(manager.hears(), {"WATCHDOG": "1"})
    assert 'msg="parked' in log(bench), log(bench)


@claim(mounted=False)
def no_child_speaks_in_its_name(bench: Bench) -> None:
    manager = Manager(bench)
    write_config(bench, "")
    serve(bench, "--local", bench.zoo.directory, NOTIFY_SOCKET=manager.path,
          PATH=f"{os.path.dirname(malqueryd())}:{os.environ['PATH']}")
    same(manager.hears()["READY"], "1")
    [engine] = [pid for pid, line in processes_of(bench.zoo.directory).items() if "--exit-with-stdin" in line]
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{engine}/environ").read_bytes()


@claim(mounted=False)
def malqueryd_says_so_too(bench: Bench) -> None:
    manager = Manager(bench)
    engine = Program([malqueryd(), "--socket", bench.directory / "e.sock", "--index", bench.directory / "e.db",
                      bench.zoo.directory], {**bench.environment, **CREDENTIALS, "NOTIFY_SOCKET": str(manager.path)},
                     bench.logs / "engine.log")
    try:
        same(manager.hears(), {"READY": "1", "STATUS": f"unix:{bench.directory}/e.sock"})
        engine.process.terminate()
        same(manager.hears(), {"STOPPING": "1"})
        same(engine.wait(), 0)
    finally:
        engine.kill()


# ---- SIGHUP ----


@claim(mounted=False)
def a_changed_configuration_is_taken_over(bench: Bench) -> None:
    write_config(bench, "budget = 0:0\ndeny = :dd\ncache_size = 1G\nlog_level = warn\n")
    serve(bench)
    name = bench.sample("pe32")
    same(bench.run(f"cat {name}", ok=False).returncode, 1, "without a budget")
    same(bench.run(f"dd if={name}", ok=False).stderr.count("Permission denied"), 1)
    write_config(bench, "budget = 5:0\ndeny = :cat\ncache_size = 2G\nlog_level = info\nreserve = 0\n")
    hang_up(bench, "configuration read again")
    same(bench.run(f"cat {name}", ok=False).stderr.count("Permission denied"), 1)
    bench.run(f"dd if={name} status=none | cmp - {bench.zoo['pe32'].path}")
    status = dict(line.split("\t", 1) for line in bench.read("status").splitlines()[1:])
    same((status["cache_limit"], status["budget"]), (str(2 << 30), "downloads 4 hunts 0"))
    for option in ("budget", "deny", "cache_size", "log_level", "reserve"):
        same(len(re.findall(f'node={option} msg="option changed"', log(bench))), 1, option)
    hang_up(bench, "configuration read again")
    same(log(bench).count("option changed"), 5, "the same file once more")


@claim(mounted=False)
def a_budget_is_not_filled_up_by_a_reload(bench: Bench) -> None:
    """Another mount of the profile was told another budget meanwhile; this one's is as it was."""
    write_config(bench, "budget = 5:5\n")
    serve(bench)
    other = bench.directory / "other"
    other.mkdir()
    result = subprocess.run([malqueryfs(), "-o", f"config={bench.directory}/config.ini,budget=2:2", other], cwd="/",
                            env={**bench.environment, **CREDENTIALS}, timeout=START_MAX_S, capture_output=True, text=True)
    same((result.returncode, result.stderr), (0, ""))
    bench.run(f"umount {other}", cwd=bench.directory)
    until(lambda: not processes_of(other), STOP_MAX_S, "the end of the other mount")
    hang_up(bench, "configuration read again")
    assert "budget\tdownloads 2 hunts 2\n" in bench.read("status"), bench.read("status")


@claim(mounted=False)
def what_needs_a_mount_is_said(bench: Bench) -> None:
    write_config(bench, "")
    serve(bench)
    write_config(bench, "transport = zip\ncache = plain\n")
    hang_up(bench, "configuration read again")
    for option in ("transport", "cache"):
        same(log(bench).count(f'level=warn node={option} msg="option changed, but only the next mount takes it over"'),
             1, option)
    bench.sample("pe32").read_bytes()
    same((len(bench.proxy.calls("download")), len(bench.proxy.paid())), (1, 1), "still raw")


@claim(mounted=False)
def a_wrong_configuration_changes_nothing_and_is_one_line(bench: Bench) -> None:
    write_config(bench, "deny = :dd\n")
    serve(bench)
    file = bench.directory / "config.ini"
    for text, mode, word in (("deny = :cat\nreserve = most\n", 0o600, "reserve"), ("nonsense = 1\n", 0o600, "nonsense"),
                             ("deny = :cat\nbudget = lots\n", 0o600, "budget"), ("deny = :cat\n", 0o644, "chmod 600"),
                             ("deny = :cat\nprofile = other\n", 0o600, "profile")):
        write_config(bench, text)
        file.chmod(mode)
        hang_up(bench, "the configuration stays as it is")
        line = said_of_reload(bench)
        assert word in line, line
    same(bench.run(f"dd if={bench.sample('pe32')}", ok=False).stderr.count("Permission denied"), 1, "dd is still denied")
    bench.run(f"cat {bench.sample('pe32')}")
    same(log(bench).count("option changed"), 0)
    file.unlink()
    hang_up(bench, "the configuration stays as it is")
    assert "does not exist" in said_of_reload(bench), log(bench)
    same(bench.run(f"dd if={bench.sample('eicar')}", ok=False).stderr.count("Permission denied"), 1, "dd is still denied")


@claim(mounted=False)
def the_command_line_wins_over_the_new_file(bench: Bench) -> None:
    write_config(bench, "")
    serve(bench, "-o", "deny=:dd")
    write_config(bench, "deny = :cat\n")
    hang_up(bench, "configuration read again")
    bench.run(f"cat {bench.sample('pe32')}")


# ---- SIGUSR1 ----


@claim(mounted=False)
def it_tells_what_it_is_doing(bench: Bench) -> None:
    write_config(bench, "log_level = err\n")
    serve(bench)
    stall = bench.proxy.fail("download", Stall(), times=1)
    sample = bench.sample("pe32")
    reader = bench.start("cat", sample)
    assert stall.arrived.wait(START_MAX_S)
    bench.program.process.send_signal(signal.SIGUSR1)
    until(lambda: " running calls=1 oldest_ms=" in log(bench), STOP_MAX_S, "the job in the log")
    lines = [line for line in log(bench).splitlines() if "op=state" in line]
    assert all(line.startswith("level=state ") for line in lines), lines
    for wanted in (f'"mountpoint {bench.root}"', '"profile default"', '"budget downloads', '"cache_limit ',
                   f'"job bytes sha256={sample.name[:12]} running', '"parked calls=1'):
        assert any(wanted in line for line in lines), f"{wanted} is not in {lines}"
    assert CLIENT_SECRET not in log(bench)
    stall.release()
    reader.communicate(timeout=STOP_MAX_S)
    assert bench.read("README"), "it goes on"


@claim(mounted=False)
def it_names_what_is_on_its_way_and_how_far_it_is(bench: Bench) -> None:
    write_config(bench, "")
    serve(bench)
    sample = bench.zoo["marked"]
    bench.proxy.fail("download", trickle(sample.size // 2, 3), times=1)
    reader = bench.start("cat", bench.sample("marked"))
    until(lambda: re.search(rf"^{sample.sha256}\t[1-9]", bench.read("transfers"), re.MULTILINE), RUN_MAX_S, "the first half")
    bench.program.process.send_signal(signal.SIGUSR1)
    until(lambda: "parked calls=1" in log(bench), STOP_MAX_S, "the state in the log")
    [line] = [line for line in log(bench).splitlines() if f"transfer {sample.sha256}" in line]
    have, size = map(int, re.search(r'^level=state op=state msg="transfer \w+ have=(\d+) size=(\d+) rate=\d+"$', line).groups())
    same(size, sample.size)
    assert 0 < have < size, line
    reader.communicate(timeout=RUN_MAX_S)
    same(reader.returncode, 0)


# ---- where the log goes ----


@claim(mounted=False)
def a_level_leaves_out_what_is_less(bench: Bench) -> None:
    write_config(bench, "log_level = warn\n")
    serve(bench)
    same(log(bench), "")


@claim(mounted=False)
def a_line_for_the_journal_has_its_priority(bench: Bench) -> None:
    write_config(bench, "log = journal\n")
    serve(bench)
    until(lambda: "msg=mounted" in log(bench) or 'msg="mounted"' in log(bench), STOP_MAX_S, "the first line")
    assert all(re.match("<[3-7]>level=", line) for line in log(bench).splitlines()), log(bench)


@claim(mounted=False)
def the_journal_is_known_by_its_stream(bench: Bench) -> None:
    write_config(bench, "")
    known = bench.logs / "malqueryfs.log"
    known.touch()
    serve(bench, JOURNAL_STREAM=f"{known.stat().st_dev}:{known.stat().st_ino}")
    assert all(line.startswith("<6>") for line in log(bench).splitlines()), log(bench)


@claim(mounted=False)
def a_file_takes_the_lines_of_a_mount_in_the_background(bench: Bench) -> None:
    """And more of them after the confinement, which closes every other way to it."""
    write_config(bench, "")
    file = bench.logs / "own.log"
    result = subprocess.run([malqueryfs(), "-o", f"config={bench.directory}/config.ini,log={file}", bench.root],
                            env={**bench.environment, **CREDENTIALS}, timeout=START_MAX_S, capture_output=True, text=True)
    same((result.returncode, result.stderr), (0, ""))
    same(file.stat().st_mode & 0o777, 0o600)
    errno_of((bench.root / "samples" / ("0" * 64)).read_bytes)
    same(file.read_text().count('msg="mounted"'), 1)
    bench.run(f"umount {bench.root}", cwd=bench.directory)
    until(lambda: not processes_of(bench.root), STOP_MAX_S, "the end")


class Syslog:
    """syslogd: the socket that is /dev/log in a /dev of the claim's own, which nobody else sees."""

    IN_ITS_DEV = """
        mount -t tmpfs dev "$1"
        for name in fuse null zero random urandom; do
            touch "$1/$name"
            mount --bind "/dev/$name" "$1/$name"
        done
        ln -s "$2" "$1/log"
        mount --move "$1" /dev
        shift 2
        exec "$@"
    """

    def __init__(self, bench: Bench) -> None:
        self._path = bench.directory / "log.sock"
        dev = bench.directory / "dev"
        dev.mkdir()
        self.prefix = ("setsid", "unshare", "--mount", "--propagation", "private", "sh", "-ec", self.IN_ITS_DEV, "sh",
                       str(dev), str(self._path))
        self.restart()

    def restart(self) -> None:
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.settimeout(START_MAX_S)

    def hears(self, words: str) -> tuple[int, int]:
        """Priority and process of the next line that has these words."""
        while True:
            line = self._socket.recv(8192).decode()
            found = re.fullmatch(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d malqueryfs\[(\d+)\]: level=.*\n?", line)
            assert found, line
            if words in line:
                return int(found[1]), int(found[2])


LOG_DAEMON = 3 << 3
PRIORITIES = {"warn": LOG_DAEMON + 4, "state": LOG_DAEMON + 5, "info": LOG_DAEMON + 6}


@claim_of_root
def syslog_hears_each_line_with_its_priority(bench: Bench) -> None:
    """Also from inside the confinement, and after syslogd was started again."""
    write_config(bench, "log = syslog\n")
    syslog = Syslog(bench)
    serve(bench, prefix=syslog.prefix, wait=False)
    same(syslog.hears('msg="mounted"'), (PRIORITIES["info"], bench.program.pid))
    write_config(bench, "log = syslog\ntransport = zip\n")
    bench.program.process.send_signal(signal.SIGHUP)
    same(syslog.hears("only the next mount takes it over")[0], PRIORITIES["warn"])
    syslog.restart()
    bench.program.process.send_signal(signal.SIGUSR1)
    same(syslog.hears("mountpoint")[0], PRIORITIES["state"])
    same(syslog.hears("waiting for a change")[0], PRIORITIES["state"])  # the last one: who is not read blocks
    same(log(bench), "", "nothing goes elsewhere")
    bench.program.process.terminate()
    same(bench.program.wait(), 0)
    bench.program = None


@claim_of_root
def a_mount_in_the_background_logs_to_syslog(bench: Bench) -> None:
    write_config(bench, "")
    syslog = Syslog(bench)
    result = subprocess.run([*syslog.prefix, malqueryfs(), "-o", f"config={bench.directory}/config.ini", bench.root],
                            env={**bench.environment, **CREDENTIALS}, timeout=START_MAX_S, capture_output=True, text=True)
    same((result.returncode, result.stderr), (0, ""))
    priority, pid = syslog.hears('msg="mounted"')
    same(priority, PRIORITIES["info"])
    os.kill(pid, signal.SIGTERM)
    until(lambda: not processes_of(bench.root), STOP_MAX_S, "the end")


@claim(mounted=False)
def a_log_that_is_none_is_refused(bench: Bench) -> None:
    write_config(bench, "log = paper\n")
    result = subprocess.run([malqueryfs(), "-o", f"config={bench.directory}/config.ini", bench.root], text=True,
                            env={**bench.environment, **CREDENTIALS}, timeout=START_MAX_S, capture_output=True)
    same((result.returncode, result.stderr.count("\n")), (2, 1), result.stderr)
    assert "log" in result.stderr and "journal" in result.stderr, result.stderr


# ---- the terminal ----


@claim(mounted=False)
def a_terminal_that_is_closed_ends_what_was_started_on_it(bench: Bench) -> None:
    write_config(bench, "")
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    arguments = [malqueryfs(), "-f", "-o", f"config={bench.directory}/config.ini", str(bench.root)]
    with (bench.logs / "malqueryfs.log").open("ab") as stderr:
        process = subprocess.Popen(arguments, env={**bench.environment, **CREDENTIALS}, stdin=theirs, stdout=theirs,
                                   stderr=stderr, preexec_fn=take_terminal)
    os.close(theirs)
    try:
        until(lambda: mount_flags(bench.root), START_MAX_S, "the mount")
        bench.read("README")
        os.close(ours)
        same(process.wait(STOP_MAX_S), 0, "exit status")
    finally:
        process.kill()
        process.wait()
    same(mount_flags(bench.root), None, "what is mounted")


if __name__ == "__main__":
    main()
