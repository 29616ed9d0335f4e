"""What README.md and the man pages show is what happens: every block of commands is run, and shows what it says."""

import re
import shutil
import socket
from pathlib import Path

from documents import ROOT, Block, Shell, all_blocks
from harness import CLIENT_ID, CLIENT_SECRET, ELF_FILES, Bench, claim, main, malqueryd, malqueryfs, mount_flags, same

# First lines of blocks that no test can run, and why.
CANNOT = {
    "README.md: packaging/try": "installs packages and builds",
    "README.md: packaging/install-dependencies build package && cmake --workflow --preset deb": "installs packages",
    "README.md: cmake --preset release && cmake --build --preset release": "builds, and installs as root",
    "README.md: tests/run": "is what runs this",
    "malqueryd.8: $ export FALCON_CLIENT_ID FALCON_CLIENT_SECRET": "an address and a certificate of its own",
}
SESSION = "README.md: $ mkdir -p /mnt/mq"
ACCOUNT = "README.md: export FALCON_CLIENT_ID=… FALCON_CLIENT_SECRET=…"
RECIPES = "README.md: # hunt, wait, and see what came (one hunt)"
MOUNTED = ("malqueryfs.1: tail -n +1", "malqueryfs.1: getfattr", "malqueryfs.1: cp wiper.yar")
LOCAL = "malqueryfs.1: malqueryfs --local"
SERVICE = ("malqueryd.8: $ malqueryd --port", "malqueryd.8: $ jq -n", "malqueryd.8: $ curl -s -H")

# What differs from machine to machine in the output that is shown.
VARIES = (
    (r"[0-9a-f]{64}", "SHA256"),
    (r"^-r-------- .* (?=SHA256)", "FILE "),
    (r"\b(results|unknown|elapsed)=\d+", r"\1=N"),
    (r"^0x[0-9a-f]+:", "0xN:"),
    (r"^\d+$", "N"),
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
    directory.mkdir(exist_ok=True)
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
    run = (SESSION, ACCOUNT, RECIPES, *MOUNTED, LOCAL, *SERVICE)
    names = [block.name for block in all_blocks()]
    forgotten = [name for name in names if not name.startswith(run) and name not in CANNOT]
    same(forgotten, [], "a block that no test runs: add it to a claim here, or to CANNOT with a reason")
    same([name for name in CANNOT if name not in names], [], "reasons for blocks that are not there")


@claim(mounted=False, limit_s=120)
def the_session_goes_as_it_is_shown(bench: Bench) -> None:
    [session] = blocks(SESSION)
    places = {"/mnt/mq": str(bench.root), "/usr/bin": str(few_programs(bench)), "/tmp/typo": f"{bench.inbox}/typo"}
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
    assert [line for line in output if re.match(r"ok +read scope, quotas +hunts \d+ of \d+", line)], output
    same(bench.proxy.paid(), [])


@claim(limit_s=120)
def recipes_work_and_cost_what_they_say(bench: Bench) -> None:
    [block] = blocks(RECIPES)
    recipes = list(zip(block.lines[::2], block.lines[1::2], strict=True))
    same(len(recipes), 12)
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    (bench.inbox / "family.yar").write_text(ELF_FILES)
    list_of_hashes(bench)
    with shell(bench, bench.inbox, {"/mnt/mq": str(bench.root)}, HASH=bench.zoo["true"].sha256) as bash:
        for comment, command in recipes:
            before = len(bench.proxy.paid())
            lines = must_run(bash, command)
            cost = re.search(r"\(([^()]*)\)$", comment)[1]
            paid = len(bench.proxy.paid()) - before
            assert paid == COSTS[cost] if cost in COSTS else paid > 0, f"{comment}: {paid} paid calls"
            assert lines or command.startswith(("echo ", "cp \"")), f"{command}: no output"
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
def the_pictures_are_there_and_are_drawings(bench: Bench) -> None:
    import xml.etree.ElementTree as xml

    for name in re.findall(r"\]\((docs/[^)]+\.svg)\)", (ROOT / "README.md").read_text()):
        same(xml.parse(ROOT / name).getroot().tag, "{http://www.w3.org/2000/svg}svg", name)


if __name__ == "__main__":
    main()
