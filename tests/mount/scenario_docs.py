"""What README.md and the man pages show is what happens: every block of commands is run, and shows what it says."""

import configparser
import re
import shutil
import socket
import subprocess
from pathlib import Path

from documents import ROOT, Block, Shell, all_blocks, blocks_of_files, every_block, is_of_commands
from harness import (CLIENT_ID, CLIENT_SECRET, CREDENTIALS, ELF_FILES, NOBODY, START_MAX_S, STOP_MAX_S, Bench, claim, claim_of_root,
                     fuse_for_everybody, main, malqueryd, malqueryfs, mount_flags, processes_of, same, until)

# First lines of blocks that no test can run, and why.
CANNOT = {
    "README.md: packaging/try": "installs packages and builds",
    "README.md: packaging/install-dependencies build package && cmake --workflow --preset deb": "installs packages",
    "README.md: cmake --preset release && cmake --build --preset release": "builds, and installs as root",
    "README.md: tests/run": "is what runs this",
}
SESSION = "README.md: $ mkdir -p ~/mq"
ACCOUNT = "README.md: export FALCON_CLIENT_ID=… FALCON_CLIENT_SECRET=…"
RECIPES = "README.md: # hunt, wait, and see what came (one hunt)"
MOUNTED = ("malqueryfs.1: tail -n +1", "malqueryfs.1: getfattr", "malqueryfs.1: cp wiper.yar")
LOCAL = "malqueryfs.1: malqueryfs --local"
TEAM = "malqueryd.8: $ export FALCON_CLIENT_ID FALCON_CLIENT_SECRET"
FILES = {"configuration": r"^\[", "fstab": r"\s\d\s+\d$", "rule": r"^// malquery: "}  # what is in files, by a line of it
SERVICE = ("malqueryd.8: $ malqueryd --port", "malqueryd.8: $ jq -n", "malqueryd.8: $ curl -s -H")

# What differs from machine to machine in the output that is shown.
VARIES = (
    (r"[0-9a-f]{64}", "SHA256"),
    (r"^-r-------- .* (?=SHA256)", "FILE "),
    (r"\b(results|unknown|elapsed)=\d+", r"\1=N"),
    (r"^0x[0-9a-f]+:", "0xN:"),
    (r"^\d+$", "N"),
    (r"/home/you/", "~/"),
    (r"^(line \d+: syntax error), .*", r"\1"),  # libyara 4.5 says what it expects
)
PROGRAMS = ("su", "mount", "umount", "passwd", "newgrp", "true", "head", "cut")
COSTS = {"nothing": 0, "one hunt": 1, "one download": 1}  # "downloads": one or more


def blocks(*starts: str) -> list[Block]:
    found = [block for block in all_blocks() if block.name.startswith(starts)]
    assert found, f"no block begins so: {starts}"
    return found


def as_shown(lines: list[str]) -> list[str]:
    """Without what varies; whether a hunt is seen in progress depends on the machine."""
    for pattern, word in VARIES:
        lines = [re.sub(pattern, word, line) for line in lines]
    return [line for line in lines if not line.startswith("inprogress ")]


def programs(bench: Bench) -> Path:
    """A directory with both programs, for PATH."""
    directory = bench.directory / "bin"
    if not directory.exists():
        directory.mkdir()
        for name, program in (("malqueryfs", malqueryfs()), ("malqueryd", malqueryd())):
            (directory / name).symlink_to(program)
    return directory


def shell(bench: Bench, directory: Path, places: dict[str, str], **more: str) -> Shell:
    environment = {**bench.environment, **more}
    environment["PATH"] = f"{programs(bench)}:{environment['PATH']}"
    return Shell(environment, directory, places)


def few_programs(bench: Bench) -> Path:
    """Instead of /usr/bin."""
    directory = bench.directory / "few"
    directory.mkdir()
    for name in PROGRAMS:
        shutil.copy(f"/usr/bin/{name}", directory)
    return directory


def must_run(bash: Shell, command: str) -> list[str]:
    lines, status = bash.run(command)
    assert status == 0, f"`{command}` ended with {status}: {lines}"
    return lines


def list_of_hashes(bench: Bench) -> None:
    known = [bench.zoo[name].sha256 for name in ("pdf", "text")]
    (bench.inbox / "case42.txt").write_text("\n".join([*known, "0" * 64]) + "\n")


@claim(mounted=False)
def every_block_is_run_or_cannot_be(bench: Bench) -> None:
    run = (SESSION, ACCOUNT, RECIPES, *MOUNTED, LOCAL, TEAM, *SERVICE)
    names = [block.name for block in all_blocks()]
    forgotten = [name for name in names if not name.startswith(run) and name not in CANNOT]
    same(forgotten, [], "a block that no test runs: add it to a claim here, or to CANNOT with a reason")
    same([name for name in CANNOT if name not in names], [], "reasons for blocks that are not there")
    tried = [block for pattern in FILES.values() for block in blocks_of_files(pattern)]
    forgotten = [block.name for block in every_block() if not is_of_commands(block) and block not in tried]
    same(forgotten, [], "a block of a file that no claim here tries")


@claim(mounted=False, limit_s=120)
def the_session_goes_as_it_is_shown(bench: Bench) -> None:
    [session] = blocks(SESSION)
    places = {"~/mq": str(bench.root), "/usr/bin": str(few_programs(bench)), "/tmp/typo": f"{bench.inbox}/typo"}
    with shell(bench, ROOT, places) as bash:
        for command, wanted in session.commands():
            got, _ = bash.run(command)
            same(as_shown(got), as_shown(wanted), command)
    assert not mount_flags(bench.root)


@claim(mounted=False)
def an_account_is_all_that_it_takes(bench: Bench) -> None:
    [block] = blocks(ACCOUNT)
    credentials = {"FALCON_CLIENT_ID=…": f"FALCON_CLIENT_ID={CLIENT_ID}",
                   "FALCON_CLIENT_SECRET=…": f"FALCON_CLIENT_SECRET={CLIENT_SECRET}"}
    with shell(bench, bench.inbox, credentials, FALCON_BASE_URL=bench.proxy.url) as bash:
        output = [line for command, _ in block.commands() for line in must_run(bash, command)]
    assert [line for line in output if re.match(r"ok +read scope, quotas +hunts \d+/\d+", line)], output
    same(bench.proxy.paid(), [])


@claim(limit_s=120)
def recipes_work_and_cost_what_they_say(bench: Bench) -> None:
    [block] = blocks(RECIPES)
    recipes = list(zip(block.lines[::2], block.lines[1::2], strict=True))
    same(len(recipes), 12)
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    (bench.inbox / "family.yar").write_text(ELF_FILES)
    list_of_hashes(bench)
    with shell(bench, bench.inbox, {"~/mq": str(bench.root)}, HASH=bench.zoo["true"].sha256) as bash:
        for comment, command in recipes:
            before = len(bench.proxy.paid())
            lines = must_run(bash, command)
            cost = re.search(r"\(([^()]*)\)$", comment)[1]
            paid = len(bench.proxy.paid()) - before
            assert paid == COSTS[cost] if cost in COSTS else paid > 0, f"{comment}: {paid} paid calls"
            assert lines or command.startswith(("echo ", "cp ~")), f"{command}: no output"
    same(bench.read("budget").splitlines()[1 if bench.read("budget").startswith("hunts") else 0], "downloads\t0")
    assert (bench.inbox / f"{bench.zoo['true'].sha256}.zip").stat().st_size


@claim
def examples_of_the_first_page_work(bench: Bench) -> None:
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    (bench.inbox / "family.yar").write_text(ELF_FILES)
    places = {"/mnt/mq": str(bench.root), "-f /mnt": "/mnt"}  # who follows does not end
    for block in sorted(blocks(*MOUNTED), key=lambda block: "cp wiper" not in block.name):
        with Shell(bench.environment, bench.inbox, {"-n +1 -f ": "-n +1 ", **places}) as bash:
            for command, _ in block.commands():
                must_run(bash, command)


@claim(mounted=False)
def the_first_mount_of_the_page_works(bench: Bench) -> None:
    [block] = blocks(LOCAL)
    with shell(bench, bench.inbox, {"/mnt/mq": str(bench.root), "/usr/bin": str(few_programs(bench))}) as bash:
        for command, _ in block.commands():
            must_run(bash, command)
        assert mount_flags(bench.root)
        must_run(bash, f"fusermount3 -u {bench.root}")


@claim(mounted=False)
def the_service_answers_as_its_page_shows(bench: Bench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    (bench.home / "zoo").symlink_to(bench.zoo.directory)
    places = {"8080": port}
    example = None
    with shell(bench, bench.inbox, places, SHA256=bench.zoo["true"].sha256) as bash:
        for block in blocks(*SERVICE):
            for command, wanted in block.commands():
                lines = must_run(bash, command.replace(example[0], example[1]) if example else command)
                if wanted and re.fullmatch(r"[0-9a-f-]{36}", wanted[0]):
                    assert re.fullmatch(r"[0-9a-f-]{36}", lines[0]), lines
                    example = wanted[0], lines[0]
                if command.startswith("malqueryd"):
                    must_run(bash, f"until curl -s http://127.0.0.1:{port}/ > /dev/null; do sleep 0.1; done")
        must_run(bash, "kill %1; wait %1 || true")
    same((bench.inbox / "sample").read_bytes(), bench.zoo["true"].content)


@claim(mounted=False)
def a_team_is_served_with_tls(bench: Bench) -> None:
    [block] = blocks(TEAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    bench.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost "
              "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem", cwd=bench.inbox)
    places = {"192.0.2.7": "127.0.0.1", "8443": port, "/srv/zoo": str(bench.zoo.directory)}
    token = (f"curl -sf --cacert cert.pem https://127.0.0.1:{port}/oauth2/token -d client_id=$FALCON_CLIENT_ID "
             "-d client_secret=$FALCON_CLIENT_SECRET")
    with shell(bench, bench.inbox, places, **CREDENTIALS) as bash:
        for command, _ in block.commands():
            must_run(bash, f"{command} &" if command.startswith("malqueryd") else command)
        must_run(bash, f"until {token} > token; do sleep 0.1; done")
        must_run(bash, "kill %1; wait %1 || true")
    assert "access_token" in (bench.inbox / "token").read_text()


def settings(block: Block) -> dict[str, dict[str, str]]:
    """Section: name: value."""
    file = configparser.ConfigParser(default_section="", interpolation=None)
    file.read_string("\n".join(block.lines))
    return {name: dict(file[name]) for name in file.sections()}


@claim(mounted=False)
def configurations_say_what_they_seem_to(bench: Bench) -> None:
    """Nothing is wrong in them, and each value of a section counts for its profile."""
    file = bench.inbox / "config.ini"
    for block in blocks_of_files(FILES["configuration"]):
        file.write_text("\n".join(block.lines) + "\n")
        file.chmod(0o600)
        for profile, wanted in settings(block).items():
            lines = bench.run(f"{malqueryfs()} --dump-config -o profile={profile},config={file}", cwd=bench.inbox).stdout
            found = dict(line.split("\t")[:2] for line in lines.splitlines())
            for name, value in wanted.items():
                same(found[name], "set" if name.startswith("client_") else value, f"{block.name}: {profile}, {name}")


@claim
def options_in_a_rule_are_sent(bench: Bench) -> None:
    found = blocks_of_files(FILES["rule"])
    same(len(found), 2)
    for number, block in enumerate(found):
        bench.job(f"rule{number}", "\n".join(block.lines) + f"\n{ELF_FILES}// {number}\n")
        names = dict(word.split("=", 1) for word in block.lines[0].removeprefix("// malquery: ").split())
        sent = dict(line.split("=", 1) for line in bench.read(f"hunts/rule{number}/options").splitlines())
        same(sent.keys(), names.keys(), block.name)
        same((sent["limit"], sent["max_size"]), ("50", str(800 * 1024)))


@claim_of_root
def lines_of_fstab_mount(bench: Bench) -> None:
    """As mount(8) calls the program for them; that it does is tried where packages are installed."""
    helper = bench.directory / "mount.malqueryfs"
    helper.symlink_to(malqueryfs())
    file = bench.inbox / "config.ini"
    file.write_text("".join(f"[{name}]\nclient_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}\n"
                            f"base_url = {bench.proxy.url}\n" for name in ("default", "lab")))
    file.chmod(0o600)
    lines = [line for block in blocks_of_files(FILES["fstab"]) for line in block.lines]
    same(len(lines), 4)
    for number, line in enumerate(lines):
        source, place, kind, options, *_ = line.split()
        same(kind, "malqueryfs")
        here = bench.directory / f"places{number}"
        for directory in ("state", "cache"):
            (here / directory).mkdir(parents=True)
        own = f"state_dir={here}/state,cache_dir={here}/cache,config={file}"
        if "setuid=" in options:  # all of it is that user's
            subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", bench.directory], check=True)
            options = re.sub("setuid=[^,]*", f"setuid={NOBODY}", options)
        with fuse_for_everybody():
            result = subprocess.run([helper, source.replace("/srv/zoo", str(bench.zoo.directory)), bench.root, "-o",
                                     f"rw,{options},{own}"], cwd="/", text=True, timeout=START_MAX_S, capture_output=True,
                                    env={**bench.environment, "PATH": f"{programs(bench)}:{bench.environment['PATH']}"})
        same((result.returncode, result.stderr), (0, ""), line)
        assert mount_flags(bench.root), line
        bench.run(f"umount {bench.root}", cwd=bench.directory)
        until(lambda: not processes_of(bench.root), STOP_MAX_S, "no process is left")


@claim(mounted=False)
def the_pictures_are_there_and_are_drawings(bench: Bench) -> None:
    import xml.etree.ElementTree as xml

    for name in re.findall(r"\]\((docs/[^)]+\.svg)\)", (ROOT / "README.md").read_text()):
        same(xml.parse(ROOT / name).getroot().tag, "{http://www.w3.org/2000/svg}svg", name)


if __name__ == "__main__":
    main()
