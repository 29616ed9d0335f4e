"""Programs that only look make no sample come; what is local is served to all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from harness import RUN_MAX_S, Bench, claim, main, same

LOOKERS = ("nautilus", "thunar", "tumblerd", "tracker-extract-3", "localsearch-3", "baloo_file_extractor", "updatedb.plocate",
           "evince-thumbnailer", "ffmpegthumbnailer", "gvfsd-metadata", "kioworker", "restic", "clamonacc", "dolphin", "gio")
SCRIPTS = ("exe-thumbnailer", "cover-thumbnailer", "xapp-mp3-thumbnailer", "xapp-appimage-thumbnailer")  # 15 bytes are told
TOOLS = ("cat", "yara", "clamscan", "rg", "python3", "sha256sum", "7z", "vim", "clamdscan", "clamd", "file", "strings")


def tool(bench: Bench, name: str) -> str:
    """cat(1) under another name."""
    path = bench.inbox / name
    if not path.exists():
        shutil.copy("/bin/cat", path)
    return str(path)


def read_as(bench: Bench, name: str, sample: str) -> str:
    """"" or the reason of a failure."""
    result = subprocess.run([tool(bench, name), bench.sample(sample)], capture_output=True, timeout=RUN_MAX_S,
                            env=bench.environment)
    if result.returncode == 0:
        same(result.stdout, bench.zoo[sample].content)
        return ""
    return result.stderr.decode().strip().rsplit(": ", 1)[1]


def denied(bench: Bench) -> list[dict]:
    return [event for event in map(json.loads, bench.read("events").splitlines()) if event["event"] == "denied"]


@claim
def programs_that_only_look_are_refused(bench: Bench) -> None:
    same({name: read_as(bench, name, "pe32") for name in LOOKERS}, dict.fromkeys(LOOKERS, "Permission denied"))
    same(bench.proxy.paid(), [])
    same([event["program"] for event in denied(bench)], list(LOOKERS))
    same({event["sha256"] for event in denied(bench)}, {bench.zoo["pe32"].sha256})
    assert all(event["pid"] > 0 and event["uid"] == 0 and event["reason"] for event in denied(bench)), denied(bench)
    lines = [json.loads(line) for line in next(bench.state.glob("*/audit.jsonl")).read_text().splitlines()]
    same([(line["operation"], line["program"], line["cost"]) for line in lines], [("denied", name, 0) for name in LOOKERS])
    assert f"denied\t{len(LOOKERS)}\n" in bench.read("status"), bench.read("status")


@claim
def tools_are_not(bench: Bench) -> None:
    samples = ("true", "echo", "head", "cut", "pe32", "pe64", "text", "pdf", "eicar", "marked", "noise-1", "noise-4096")
    same([read_as(bench, name, sample) for name, sample in zip(TOOLS, samples)], [""] * len(TOOLS))
    same((len(bench.proxy.paid()), denied(bench)), (len(TOOLS), []))


@claim
def what_is_local_is_served_to_all(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    same([read_as(bench, name, "pe32") for name in LOOKERS], [""] * len(LOOKERS))
    same((len(bench.proxy.paid()), denied(bench)), (1, []))


@claim
def who_opens_without_a_trace_is_refused(bench: Bench) -> None:
    path = bench.sample("pe32")
    try:
        os.open(path, os.O_RDONLY | os.O_NOATIME)
        raise AssertionError("it was opened")
    except PermissionError:
        pass
    same((bench.proxy.paid(), "O_NOATIME" in denied(bench)[0]["reason"]), ([], True))
    path.read_bytes()
    os.close(os.open(path, os.O_RDONLY | os.O_NOATIME))
    same(len(bench.proxy.paid()), 1)


@claim
def scripts_are_known_by_the_name_of_their_process(bench: Bench) -> None:
    for name in SCRIPTS:
        script = bench.inbox / name
        script.write_text("#!/bin/dash\nread line < $1\n")
        script.chmod(0o755)
        assert bench.run(f"{script} {bench.sample('pe32')}", ok=False).returncode, name
    same((bench.proxy.paid(), len(denied(bench))), ([], len(SCRIPTS)))


@claim(options=["deny=mycat:my*dog"])
def the_list_can_be_longer(bench: Bench) -> None:
    same([read_as(bench, name, "pe32") for name in ("mycat", "my-own-dog", "thunar")], ["Permission denied"] * 3)
    same(read_as(bench, "mydog2", "pe32"), "")


@claim(options=["deny="])
def the_list_can_be_empty(bench: Bench) -> None:
    same([read_as(bench, name, "pe32") for name in LOOKERS], [""] * len(LOOKERS))


@claim(options=["deny=:mycat"])
def the_list_can_be_another(bench: Bench) -> None:
    same(read_as(bench, "mycat", "pe32"), "Permission denied")
    same(read_as(bench, "thunar", "pe32"), "")


@claim(mounted=False, is_bounded=True, options=["budget=1"])
def of_whom_nothing_can_be_seen_the_budget_decides(bench: Bench) -> None:
    """The mount runs in a PID namespace of its own, so that the kernel gives it no pid of those outside."""
    wrapper = bench.inbox / "wrapper"
    real = os.environ["MALQUERYFS"]
    wrapper.write_text(f'#!/bin/sh\nexec unshare --pid --fork --kill-child {real} "$@"\n')
    wrapper.chmod(0o755)
    os.environ["MALQUERYFS"] = str(wrapper)
    try:
        bench.mount()
    finally:
        os.environ["MALQUERYFS"] = real
    same(read_as(bench, "thunar", "pe32"), "")
    same(read_as(bench, "thunar", "pe64"), "Disk quota exceeded")
    same((len(bench.proxy.paid()), denied(bench)), (1, []))


if __name__ == "__main__":
    main()
