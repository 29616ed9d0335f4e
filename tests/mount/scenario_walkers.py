"""Whatever walks over the samples of a hunt, or looks into each of them, costs nothing; a file manager shows them all.

Two locks keep file managers out: their names, and O_NOATIME, with which GLib looks into files. The last claims open the
locks, to show that these programs would spend otherwise.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import time
import zipfile
import zlib
from pathlib import Path

from desktop import DESKTOP_MAX_S, Desktop
from harness import EVERYTHING, POLL_S, RUN_MAX_S, Bench, claim, main, same, until
from samples import Zoo, minimal_pe
from terminal import Terminal

EACH = 25  # samples of each kind
QUIET_S = 2  # without an open: whoever walked is done
FIRST_BUDGET = "downloads\t10\nhunts\t19\n"  # of a new profile, after the one hunt
SPENT_BUDGET = "downloads\t0\nhunts\t19\n"
LISTED = "opens files only to look"  # the reason of a refusal by name
# Another user who can read everything and owns nothing: only owners may use O_NOATIME (open(2)), and GLib does without.
NO_OWNER = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "+dac_override",
            "--ambient-caps", "+dac_override")

GNOME_INDEXERS = (  # Debian 12 and 13: the daemon, the command and what it starts to look into a file
    ("/usr/libexec/tracker-miner-fs-3", "tracker3", "tracker-extract-3"),
    ("/usr/libexec/localsearch-3", "localsearch", "localsearch-extractor-3"),
)

WALKS = {  # command: what it prints, {n} samples and {all} with their directory
    "ls -lR . >/dev/null": "",
    "ls -lR hunts/all/samples | grep -c '^-r'": "{n}",
    "find . -size +1000G": "",
    "find hunts/all/samples -type f -size -1000G | wc -l": "{n}",
    "find hunts/all/samples -newermt 2019-01-01 ! -newermt 2019-12-31": "hunts/all/samples/{pe32}",
    "du -a hunts/all/samples | wc -l": "{all}",
    "du -s . >/dev/null": "",
    "stat -c %s hunts/all/samples/* | wc -l": "{n}",
    "getfattr -dR hunts/all/samples | grep -c '^user.malquery.state=\"remote\"'": "{n}",
    "tar cf /dev/null .": "",
    "tree . >/dev/null": "",
    "tree -i --noreport hunts/all/samples | wc -l": "{all}",
}


# ---- samples ----


def png(number: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + bytes([number, 99, 180]) * 16
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(row * 16)) + chunk(b"IEND", b""))


def archive(number: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as one:
        one.writestr("readme.txt", f"number {number}\n")
    return file.getvalue()


def many(zoo: Zoo) -> None:
    """More than 200, of the kinds that file managers, thumbnailers and indexers like to look into."""
    pe, elf, pdf = minimal_pe(0x014C, 0x010B, 224), zoo["true"].content, zoo["pdf"].content
    for number in range(EACH):
        mark = f"\n% number {number}\n".encode()
        for kind, content in (("png", png(number)), ("exe", pe + mark), ("pdf", pdf + mark), ("zip", archive(number)),
                              ("elf", elf + mark), ("txt", mark * 9), ("html", b"<!DOCTYPE html><p>storm</p>" + mark),
                              ("svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>' + mark)):
            zoo.add(f"{number}.{kind}", content)


def folder(bench: Bench) -> Path:
    """The samples of the one hunt, which found everything."""
    path = bench.job("all", EVERYTHING) / "samples"
    same(sorted(os.listdir(path)), sorted(sample.sha256 for sample in bench.zoo))
    return path


def of_kind(bench: Bench, kind: str) -> list[Path]:
    return [bench.hunt("all") / "samples" / bench.zoo[f"{number}.{kind}"].sha256 for number in range(EACH)]


def filled(bench: Bench) -> set[str]:
    """The samples worth a look: nobody opens an empty file."""
    return {sample.sha256 for sample in bench.zoo if sample.size > 0}


# ---- what was refused and what was spent ----


def denied(bench: Bench, program: str | None = None) -> list[dict]:
    return [event for event in map(json.loads, bench.read("events").splitlines())
            if event["event"] == "denied" and program in (None, event["program"])]


def looked_into(bench: Bench, program: str) -> set[str]:
    return {event["sha256"] for event in denied(bench, program)}


def until_quiet(bench: Bench) -> None:
    """Until nobody has tried to open a sample for a while."""
    last, since = -1, time.monotonic()

    def is_quiet() -> bool:
        nonlocal last, since
        if (now := len(denied(bench)) + len(bench.proxy.paid())) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_S

    until(is_quiet, DESKTOP_MAX_S, "nobody opens samples any more")


def nothing_was_spent(bench: Bench) -> None:
    same(bench.proxy.paid(), ["hunt"])
    same(bench.read("budget"), FIRST_BUDGET, "not the budget stopped them")


def all_was_refused(bench: Bench, program: str, pid: int | None = None) -> None:
    """Each sample with something in it, to this program, because of its name."""
    until(lambda: looked_into(bench, program) >= filled(bench), DESKTOP_MAX_S, f"{program} looks into every sample")
    until_quiet(bench)
    same({LISTED in event["reason"] for event in denied(bench, program)}, {True}, "by its name")
    pids = {event["pid"] for event in denied(bench, program)}
    assert pids == {pid} if pid else min(pids) > 0, (pids, pid)
    nothing_was_spent(bench)


# ---- on a terminal ----


@claim(is_bounded=True, prepare=many)
def who_walks_opens_nothing(bench: Bench) -> None:
    folder(bench)
    numbers = {"n": len(bench.zoo), "all": len(bench.zoo) + 1, "pe32": bench.zoo["pe32"].sha256}
    for command, wanted in WALKS.items():
        same(bench.run(command).stdout.strip(), wanted.format(**numbers), command)
    database = bench.directory / "plocate.db"
    bench.run(f"updatedb -o {database} -U {bench.root} --prunefs '' --prunepaths '' --prunenames ''")
    same(bench.run(f"plocate -d {database} -c '*/hunts/all/samples/*'").stdout, f"{len(bench.zoo)}\n")
    same(denied(bench), [])
    nothing_was_spent(bench)


@claim(is_bounded=True, prepare=many)
def completion_on_a_terminal_opens_nothing(bench: Bench) -> None:
    names = sorted(path.name for path in folder(bench).iterdir())
    with Terminal(bench, "env", "PS1=ready> ", "bash", "--norc", "--noprofile") as terminal:
        terminal.see("ready>")
        terminal.type("cat hunts/all/samples/\t\t")
        terminal.see(f"Display all {len(names)} possibilities?")
        terminal.type("n")
        terminal.type(names[0][:12] + "\t")
        terminal.see(names[0])
    same(denied(bench), [])
    nothing_was_spent(bench)


@claim(is_bounded=True, prepare=many)
def gio_sees_all_and_opens_nothing(bench: Bench) -> None:
    folder(bench)
    same(bench.run("gio list hunts/all/samples | wc -l").stdout, f"{len(bench.zoo)}\n")
    same(denied(bench), [])
    same(bench.run("gio info hunts/all/samples/* | grep -c standard::size").stdout, f"{len(bench.zoo)}\n")
    all_was_refused(bench, "gio")


@claim(is_bounded=True, prepare=many)
def who_reads_is_charged(bench: Bench) -> None:
    folder(bench)
    bench.run("tar cf - hunts/all/samples | wc -c")
    same((len(bench.proxy.paid()), bench.read("budget"), denied(bench)), (11, SPENT_BUDGET, []))


# ---- on a desktop ----


@claim(is_bounded=True, prepare=many)
def thunar_shows_all_and_brings_nothing(bench: Bench) -> None:
    names = sorted(path.name for path in folder(bench).iterdir())
    with Desktop(bench) as desktop:
        thunar = desktop.start("thunar", bench.hunt("all") / "samples")
        until(lambda: desktop.copied("thunar") == names, DESKTOP_MAX_S, "the user sees all names")
        all_was_refused(bench, "thunar", thunar.pid)


@claim(is_bounded=True, prepare=many)
def nautilus_looks_into_each_and_brings_nothing(bench: Bench) -> None:
    folder(bench)
    with Desktop(bench) as desktop:
        nautilus = desktop.start("nautilus", "--new-window", bench.hunt("all") / "samples")
        until(lambda: "samples" in desktop.titles(), DESKTOP_MAX_S, "the window is there")
        all_was_refused(bench, "nautilus", nautilus.pid)


THUMBNAILERS = {"image/png": "png", "application/x-ms-dos-executable": "exe", "image/svg+xml": "svg"}


@claim(is_bounded=True, prepare=many)
def thumbnailers_bring_nothing(bench: Bench) -> None:
    """tumblerd and the programs it starts; the last one runs as Nautilus runs it, in namespaces of its own."""
    folder(bench)
    with Desktop(bench) as desktop:
        for media_type, kind in THUMBNAILERS.items():
            desktop.ask_for_thumbnails(of_kind(bench, kind), media_type)
        wanted = {path.name for kind in THUMBNAILERS.values() for path in of_kind(bench, kind)}
        until(lambda: {event["sha256"] for event in denied(bench)} == wanted, DESKTOP_MAX_S, "all were tried")
        until_quiet(bench)
    seen = {event["program"] for event in denied(bench)}
    assert {"tumblerd", "gdk-pixbuf-thumbnailer"} < seen, seen
    assert any(program.startswith("python3") for program in seen), f"{seen}: exe-thumbnailer is a script"
    before, picture = len(denied(bench)), of_kind(bench, "png")[0]
    bench.run("bwrap --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --dev /dev --unshare-pid"
              f" --unshare-ipc --bind {bench.inbox} /out --ro-bind {picture} /out/in.png"
              " gdk-pixbuf-thumbnailer -s 64 /out/in.png /out/out.png", ok=False, cwd=bench.directory)
    same({(event["program"], event["sha256"]) for event in denied(bench)[before:]},
         {("gdk-pixbuf-thumbnailer", picture.name)}, "in a sandbox")
    same({LISTED in event["reason"] and event["pid"] > 0 for event in denied(bench)}, {True}, "all by name")
    nothing_was_spent(bench)


def configure(bench: Bench, name: str, text: str) -> None:
    path = bench.home / ".config" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def kde_indexer() -> str:
    """Debian 13 has it where PATH does not lead."""
    return shutil.which("baloo_file") or str(next(Path("/usr/lib").glob("*/libexec/kf6/baloo_file")))


@claim(is_bounded=True, prepare=many)
def indexers_look_into_each_and_bring_nothing(bench: Bench) -> None:
    """Those of GNOME and KDE, told to index the folder with the samples."""
    path = folder(bench)
    pdf = of_kind(bench, "pdf")[0]
    configure(bench, "baloofilerc", f"[Basic Settings]\nIndexing-Enabled=true\n"
                                    f"[General]\nfolders[$e]={path}/\nfirst run=false\nonly basic indexing=false\n")
    configure(bench, "glib-2.0/settings/keyfile",
              f"[org/freedesktop/tracker/miner/files]\nindex-recursive-directories=['{path}']\n"
              f"index-single-directories=@as []\nenable-monitors=false\n")
    miner, extract, extractor = next(names for names in GNOME_INDEXERS if Path(names[0]).exists())
    with Desktop(bench) as desktop:
        desktop.start(kde_indexer())  # begins after some seconds
        indexing = desktop.start(miner, "--initial-sleep=0")
        desktop.run(extract, "extract", pdf)
        same(looked_into(bench, extractor), {pdf.name})
        all_was_refused(bench, Path(miner).name, indexing.pid)
        all_was_refused(bench, "baloo_file_extractor")


# ---- what they would do otherwise ----


@claim(is_bounded=True, prepare=many, options=["deny="])
def file_managers_open_without_a_trace(bench: Bench) -> None:
    """The second lock: without the names it is O_NOATIME that gives them away."""
    folder(bench)
    with Desktop(bench) as desktop:
        desktop.start("thunar", bench.hunt("all") / "samples")
        until(lambda: looked_into(bench, "thunar") == filled(bench), DESKTOP_MAX_S, "it looks into every sample")
        until_quiet(bench)
    same({"O_NOATIME" in event["reason"] for event in denied(bench)}, {True})
    nothing_was_spent(bench)


@claim(is_bounded=True, prepare=many, options=["deny=", "allow_other"])
def without_both_locks_a_file_manager_spends_the_budget(bench: Bench) -> None:
    folder(bench)
    with Desktop(bench, NO_OWNER) as desktop:
        desktop.start("thunar", bench.hunt("all") / "samples")
        until(lambda: bench.read("budget") == SPENT_BUDGET, DESKTOP_MAX_S, "it spends all there is")
        until_quiet(bench)
    same((len(bench.proxy.paid()), bench.read("budget")), (11, SPENT_BUDGET))


@claim(is_bounded=True, prepare=many, options=["deny="])
def without_the_names_thumbnailers_spend_the_budget(bench: Bench) -> None:
    folder(bench)
    with Desktop(bench) as desktop:
        desktop.ask_for_thumbnails(of_kind(bench, "png"), "image/png")
        until(lambda: bench.read("budget") == SPENT_BUDGET, DESKTOP_MAX_S, "they spend all there is")
        until(lambda: len(list(bench.home.glob(".cache/thumbnails/normal/*.png"))) == 10, RUN_MAX_S, "ten thumbnails")
    same((len(bench.proxy.paid()), bench.read("budget"), denied(bench)), (11, SPENT_BUDGET, []))


if __name__ == "__main__":
    main()
