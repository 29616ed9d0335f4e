"""Every usual way of writing a file submits the rule once, with exactly the text; everything else spends nothing."""

import os
import subprocess
import sys
import tempfile
import time

from harness import ELF_FILES, RUN_MAX_S, STOP_MAX_S, Bench, claim, errno_of, main, same, until


def rule(name: str) -> str:
    """A valid rule of its own, of three lines."""
    return f"rule {name} {{\n  condition: filesize > 1\n}}\n"


# A shell line that writes {rule}, a file that holds {text} and a newline, to hunts/{name}.yar.
WRITERS = {
    "cp": "cp {rule} hunts/{name}.yar",
    "cp_preserve": "cp -p {rule} hunts/{name}.yar",
    "cp_archive": "cp -a {rule} hunts/{name}.yar",
    "redirect": "cat {rule} > hunts/{name}.yar",
    "builtin": "printf '%s\\n' '{text}' > hunts/{name}.yar",
    "append": "cat {rule} >> hunts/{name}.yar",
    "here_document": "cat > hunts/{name}.yar <<EOF\n{text}\nEOF",
    "two_programs": "(head -n 1 {rule}; tail -n +2 {rule}) > hunts/{name}.yar",
    "three_echoes": "(/bin/echo 'rule {name} {{'; /bin/echo '  condition: filesize > 1'; /bin/echo '}}') > "
                    "hunts/{name}.yar",
    "noclobber": "set -C; cat {rule} > hunts/{name}.yar",
    "read_write": "cat {rule} 1<> hunts/{name}.yar",
    "descriptor": "exec 3> hunts/{name}.yar; head -n 1 {rule} >&3; tail -n +2 {rule} >&3; exec 3>&-",
    "descriptor_of_bash": "bash -c 'exec 3> hunts/{name}.yar; echo \"rule {name} {{\" >&3; tail -n +2 {rule} >&3'",
    "bash": "bash -c 'cat > hunts/{name}.yar' <<EOF\n{text}\nEOF",
    "zsh": "zsh -c 'cat {rule} > hunts/{name}.yar'",
    "zsh_twice": "zsh -c 'cat {rule} > hunts/{name}.yar > /dev/null'",
    "background": "(head -n 1 {rule}; tail -n +2 {rule}) > hunts/{name}.yar & wait",
    "tee": "tee hunts/{name}.yar < {rule} > /dev/null",
    "dd": "dd if={rule} of=hunts/{name}.yar bs=1 2> /dev/null",
    "dd_sync": "dd if={rule} of=hunts/{name}.yar conv=fsync 2> /dev/null",
    "install": "install -m 644 {rule} hunts/{name}.yar",
    "install_directories": "install -D {rule} hunts/{name}.yar",
    "rsync": "rsync {rule} hunts/{name}.yar",
    "rsync_archive": "rsync -a {rule} hunts/{name}.yar",
    "rsync_inplace": "rsync -a --inplace {rule} hunts/{name}.yar",
    "tar": "tar -c -C {inbox} --transform 's/.*/{name}.yar/' {name}.rule | tar -x -C hunts",
    "rsync_directory": "mkdir {inbox}/{name} && mv {rule} {inbox}/{name}/{name}.yar && rsync -a {inbox}/{name}/ hunts",
    "mv": "mv {rule} hunts/{name}.yar",
    "mv_within": "cp {rule} hunts/.{name}.tmp && mv hunts/.{name}.tmp hunts/{name}.yar",
    "mv_backup": "cp {rule} hunts/{name}.yar~ && mv hunts/{name}.yar~ hunts/{name}.yar",
    "touch_first": "touch hunts/{name}.yar && cat {rule} > hunts/{name}.yar",
    "vim": "vim -es -u NONE -i NONE -c 'saveas hunts/{name}.yar' -c 'quit' {rule}",
    "ed": "printf 'r {rule}\\nw\\nq\\n' | ed -s hunts/{name}.yar",
    "python": "python3 -c 'import sys; open(sys.argv[2], \"w\").write(open(sys.argv[1]).read())' {rule} hunts/{name}.yar",
    "busybox": "busybox sh -c 'busybox cat {rule} > hunts/{name}.yar'",
    "busybox_cp": "busybox cp {rule} hunts/{name}.yar",
    "busybox_dd": "busybox dd if={rule} of=hunts/{name}.yar bs=1 2> /dev/null",
    "yara_suffix": "cp {rule} hunts/{name}.yara",
}
# A shell line that turns hunts/{name}.yar into {rule}.
CHANGERS = {
    "cp": "cp {rule} hunts/{name}.yar",
    "cp_preserve": "cp -p {rule} hunts/{name}.yar",
    "redirect": "cat {rule} > hunts/{name}.yar",
    "tee": "tee hunts/{name}.yar < {rule} > /dev/null",
    "dd": "dd if={rule} of=hunts/{name}.yar bs=1 2> /dev/null",
    "rsync": "rsync -a {rule} hunts/{name}.yar",
    "rsync_inplace": "rsync -a --inplace {rule} hunts/{name}.yar",
    "mv_within": "cp {rule} hunts/.{name}.tmp && mv hunts/.{name}.tmp hunts/{name}.yar",
    "sed": "sed -i s/filesize/1+filesize/ hunts/{name}.yar",
    "sed_backup": "sed -i.bak s/filesize/1+filesize/ hunts/{name}.yar",
    "perl": "perl -pi -e s/filesize/1+filesize/ hunts/{name}.yar",
    "perl_backup": "perl -pi.bak -e s/filesize/1+filesize/ hunts/{name}.yar",
    "ed": "printf ',s/filesize/1+filesize/\\nw\\nq\\n' | ed -s hunts/{name}.yar",
    "vim": "vim -es -u NONE -i NONE -c '%s/filesize/1+filesize/' -c 'x' hunts/{name}.yar",
    "patch": "diff -u hunts/{name}.yar {rule} | patch -s hunts/{name}.yar",
    "python_replace": "python3 -c 'import os, sys; open(sys.argv[2] + \".new\", \"w\").write(open(sys.argv[1]).read()); "
                      "os.replace(sys.argv[2] + \".new\", sys.argv[2])' {rule} hunts/{name}.yar",
    "busybox_sed": "busybox sed -i s/filesize/1+filesize/ hunts/{name}.yar",
}


def write(bench: Bench, line: str, name: str, text: str) -> None:
    path = bench.inbox / f"{name}.rule"
    path.write_text(text)
    bench.run(line.format(rule=path, name=name, inbox=bench.inbox, text=text.rstrip()))


def hunts_sent(bench: Bench) -> list[str]:
    return [call.json["yara_rule"] for call in bench.proxy.calls("hunt")]


@claim
def an_open_file_takes_the_name_of_another_open_one(bench: Bench) -> None:
    """As rename(2) says: who had the name writes into a file that has none, and nothing of it is sent."""
    text = "rule taken { condition: filesize == 1 }\n"
    first, second = bench.root / "hunts/first.yar", bench.root / "hunts/second.yar"
    with first.open("w") as taken, second.open("w") as lost:
        taken.write(text)
        taken.flush()
        lost.write("rule lost { condition: filesize == 2 }\n")
        lost.flush()
        first.rename(second)
        same((second.read_text(), first.exists()), (text, False))
    assert bench.wait("second").startswith("done"), bench.read("hunts/second/status")
    same((second.read_text(), os.listdir(bench.root / "requests")), (text, [bench.read("hunts/second/id").strip()]))
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], [text])
    same(bench.proxy.paid(), ["hunt"])



@claim
def every_writer_submits_once_with_the_whole_text(bench: Bench) -> None:
    failed = []
    for writer, line in WRITERS.items():
        name = f"by_{writer}"
        before = len(hunts_sent(bench))
        try:
            write(bench, line, name, rule(name))
            # zsh's second file is written by a child that nobody waits for: its end is the last release.
            until(lambda: len(hunts_sent(bench)) > before, STOP_MAX_S, "a hunt")
        except AssertionError as error:
            failed.append(f"{writer}: {error}")
        sent = hunts_sent(bench)[before:]
        if sent != [rule(name)]:
            failed.append(f"{writer}: sent {sent}, status {bench.run(f'cat hunts/{name}/status', ok=False).stdout!r}")
    assert not failed, "\n".join(failed)
    same(bench.proxy.paid(), ["hunt"] * len(WRITERS))
    files = {f"by_{writer}": "yara" if writer == "yara_suffix" else "yar" for writer in WRITERS}
    for name, suffix in files.items():
        same(bench.read(f"hunts/{name}.{suffix}"), rule(name), name)
    same(sorted(os.listdir(bench.root / "hunts")),
         sorted([".defaults", *files, *(f"{name}.{suffix}" for name, suffix in files.items())]))


@claim
def every_changer_makes_a_draft_of_the_whole_text(bench: Bench) -> None:
    failed = []
    for changer, line in CHANGERS.items():
        name = f"by_{changer}"
        changed = rule(name).replace("filesize", "1+filesize")
        bench.submit(name, rule(name))
        try:
            write(bench, line, name, changed)
        except AssertionError as error:
            failed.append(f"{changer}: {error}")
        text, status = bench.read(f"hunts/{name}.yar"), bench.read(f"hunts/{name}/status")
        if text != changed or status.split()[0] != "draft":
            failed.append(f"{changer}: {text!r}, {status!r}")
    assert not failed, "\n".join(failed)
    same(bench.proxy.paid(), ["hunt"] * len(CHANGERS))
    names = [f"by_{changer}" for changer in CHANGERS]
    same(sorted(os.listdir(bench.root / "hunts")), sorted([".defaults", *names, *(f"{name}.yar" for name in names)]))


@claim
def an_atomic_replace_submits_once(bench: Bench) -> None:
    descriptor, path = tempfile.mkstemp(dir=bench.root / "hunts")
    os.write(descriptor, rule("atomic").encode())
    os.fsync(descriptor)
    os.close(descriptor)
    same(hunts_sent(bench), [], "a scratch name is not submitted")
    os.replace(path, bench.root / "hunts" / "atomic.yar")
    same(hunts_sent(bench), [rule("atomic")])


@claim
def an_atomic_replace_reports_the_verdict(bench: Bench) -> None:
    scratch = bench.root / "hunts" / ".bad.yar.new"
    scratch.write_text("rule broken {")
    same(errno_of(os.replace, scratch, bench.root / "hunts" / "bad.yar"), "EINVAL")
    same(hunts_sent(bench), [])


@claim
def scratch_names_and_empty_files_are_never_submitted(bench: Bench) -> None:
    for name in (".hidden.yar", "backup.yar~", "4913", "sedAbC123", "#auto.yar#", ".x.yar.swp", "tmpab12_x"):
        (bench.root / "hunts" / name).write_text(rule("scratch"))
        same((bench.root / "hunts" / name).read_text(), rule("scratch"), name)
        os.unlink(bench.root / "hunts" / name)
    bench.run("touch hunts/empty.yar && : > hunts/empty2.yar && chmod 600 hunts/empty.yar && touch -d 2001-01-01 "
              "hunts/empty.yar")
    same(hunts_sent(bench), [])
    same(bench.proxy.paid(), [])


@claim
def changing_a_submitted_rule_is_a_draft(bench: Bench) -> None:
    bench.submit("wiper", rule("wiper"))
    bench.run("sed -i s/filesize/1+filesize/ hunts/wiper.yar")
    changed = rule("wiper").replace("filesize", "1+filesize")
    same(bench.read("hunts/wiper.yar"), changed)
    same(bench.read("hunts/wiper/rule.yar"), rule("wiper"), "what was sent")
    bench.run("cat hunts/wiper.yar > /dev/null && echo '// a remark' >> hunts/wiper.yar")
    same(bench.read("hunts/wiper.yar"), changed + "// a remark\n")
    same(bench.proxy.paid(), ["hunt"])
    bench.remount()
    same(bench.read("hunts/wiper.yar"), changed + "// a remark\n", "the draft after a remount")
    same(bench.proxy.paid(), ["hunt"])


@claim
def the_same_text_and_options_cost_nothing_again(bench: Bench) -> None:
    bench.job("first", rule("r"))
    bench.submit("second", rule("r"))
    bench.submit("first", rule("r"))
    same(bench.read("hunts/second/id"), bench.read("hunts/first/id"))
    assert bench.wait("second").startswith("done")
    bench.remount()
    bench.submit("third", rule("r"))
    same(bench.read("hunts/third/id"), bench.read("hunts/first/id"))
    same(bench.proxy.paid(), ["hunt"])
    bench.submit("fourth", "// malquery: limit=7\n" + rule("r"))
    same(bench.proxy.paid(), ["hunt", "hunt"], "other options are another hunt")


@claim
def the_time_of_a_file_is_that_of_its_last_change(bench: Bench) -> None:
    """Editors ask whether somebody else has changed the file since they looked at its time."""
    bench.submit("wiper", rule("wiper"))
    hunts = bench.root / "hunts"
    changed_at = (hunts / "wiper.yar").stat().st_mtime
    until(lambda: time.time() > changed_at + 1, 2, "another second")
    with open(hunts / "wiper.yar", "r+") as file:
        same(os.fstat(file.fileno()).st_mtime, changed_at, "opened, but not written")
    same((hunts / "wiper.yar").stat().st_mtime, changed_at, "closed")
    for name, new_name in (("wiper.yar", "wiper.yar~"), ("wiper.yar~", ".other"), (".other", "wiper.yar"),
                           ("wiper.yar", "other.yar")):
        os.rename(hunts / name, hunts / new_name)
        same((hunts / new_name).stat().st_mtime, changed_at, f"{name} -> {new_name}")
    with open(hunts / "other.yar", "w") as file:
        file.write(rule("other"))
        file.flush()
        written_at = os.fstat(file.fileno()).st_mtime
        assert written_at > changed_at
        until(lambda: time.time() > written_at + 1, 2, "another second")
    same((hunts / "other.yar").stat().st_mtime, written_at, "closed a second after it was written")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_rule_of_more_than_a_megabyte_is_efbig(bench: Bench) -> None:
    """Its first megabyte would be a valid rule: it must not be sent when cp gives up and closes the file."""
    big = bench.inbox / "big.yar"
    big.write_bytes(rule("big").encode() + b"// " + b"x" * (1 << 20))
    result = bench.run(f"cp {big} hunts/", ok=False)
    assert result.returncode and "File too large" in result.stderr, result
    (bench.root / "hunts" / ".scratch").write_text("x")
    same(errno_of(os.truncate, bench.root / "hunts" / ".scratch", (1 << 20) + 1), "EFBIG", "truncate")
    same(bench.proxy.paid(), [])


@claim
def exclusive_creation_and_no_clobber_are_honoured(bench: Bench) -> None:
    bench.submit("wiper", rule("wiper"))
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    same(errno_of(os.open, bench.root / "hunts" / "wiper.yar", flags), "EEXIST")
    (bench.root / "hunts" / ".other").write_text(rule("other"))
    bench.run("mv -n hunts/.other hunts/wiper.yar", ok=False)
    same(bench.read("hunts/wiper.yar"), rule("wiper"))
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_renamed_rule_takes_its_results_along(bench: Bench) -> None:
    bench.job("wiper", rule("wiper"))
    reqid = bench.read("hunts/wiper/id")
    bench.run("mv hunts/wiper.yar hunts/other.yar")
    for _ in range(2):
        same(sorted(os.listdir(bench.root / "hunts")), [".defaults", "other", "other.yar"])
        same(bench.read("hunts/other/id"), reqid)
        same(bench.read("hunts/other.yar"), rule("wiper"))
        bench.remount()
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_removed_rule_is_gone_but_its_request_is_not(bench: Bench) -> None:
    bench.job("wiper", rule("wiper"))
    reqid = bench.read("hunts/wiper/id").strip()
    bench.run("rm hunts/wiper.yar")
    for _ in range(2):
        same(os.listdir(bench.root / "hunts"), [".defaults"])
        same(os.listdir(bench.root / "requests"), [reqid])
        assert bench.read(f"requests/{reqid}/status").startswith("done")
        bench.remount()
    same(bench.proxy.paid(), ["hunt"])


@claim
def only_rules_can_be_written(bench: Bench) -> None:
    bench.job("wiper", rule("wiper"))
    for path in ("hunts/wiper/status", "hunts/wiper/hashes.txt", "README", "status", "quotas"):
        error = errno_of(lambda: (bench.root / path).write_text("x"))
        assert error in ("EROFS", "EACCES", "EPERM"), f"{path}: {error}"
    for action in (lambda: os.mkdir(bench.root / "hunts" / "new"), lambda: (bench.root / "new").write_text("x"),
                   lambda: os.symlink("x", bench.root / "hunts" / "link.yar"),
                   lambda: os.unlink(bench.root / "hunts/wiper/samples" / bench.zoo["pe32"].sha256)):
        error = errno_of(action)
        assert error in ("EROFS", "EACCES", "EPERM", "ENOTSUP", "EINVAL"), error


@claim
def a_child_that_inherits_the_file_does_not_send_half_of_it(bench: Bench) -> None:
    with open(bench.root / "hunts" / "parent.yar", "w") as file:
        file.write("rule parent {\n")
        file.flush()
        subprocess.run(["true"], pass_fds=[file.fileno()], check=True)  # its exit closes its copy
        same(hunts_sent(bench), [], "sent by the child's close")
        file.write("  condition: filesize > 1\n}\n")
    same(hunts_sent(bench), [rule("parent")])


@claim
def what_is_closed_and_renamed_is_sent_although_a_child_still_has_it(bench: Bench) -> None:
    """As the last close of an editor that is told late, on a busy machine: rename(2) has said that all is done. What the
    child writes then is a change like any other."""
    scratch, rule = bench.root / "hunts/.x.yar.swp", bench.root / "hunts/x.yar"
    with scratch.open("w") as file:
        file.write(ELF_FILES)
        file.flush()
        program = f"import os, sys; sys.stdin.readline(); os.write({file.fileno()}, b'// more\\n')"
        child = subprocess.Popen([sys.executable, "-c", program],
                                 pass_fds=[file.fileno()], stdin=subprocess.PIPE)
    try:
        scratch.rename(rule)
        same(len(bench.proxy.calls("hunt")), 1, "calls once it is renamed")
        assert bench.wait("x").startswith("done")
        same((rule.read_text(), scratch.exists()), (ELF_FILES, False))
    finally:
        child.communicate(b"go\n", RUN_MAX_S)
    until(lambda: rule.read_text() == ELF_FILES + "// more\n", RUN_MAX_S, "what the child has written")
    same(bench.read("hunts/x/status").split()[0], "draft")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_part_of_a_file_is_not_sent_by_a_rename(bench: Bench) -> None:
    """What an editor wrote aside did not fit, and it renames all the same."""
    scratch, rule = bench.root / "hunts/.x.yar.swp", bench.root / "hunts/x.yar"
    text = ELF_FILES + "// more than a rule may have\n" * 1_000_000
    same(errno_of(scratch.write_text, text), "EFBIG")
    assert scratch.stat().st_size > len(ELF_FILES), "nothing of it was taken, so this proves nothing"
    same(errno_of(scratch.rename, rule), "EFBIG")
    same((scratch.exists(), rule.exists(), hunts_sent(bench)), (True, False, []))


@claim
def a_writer_that_is_killed_sends_nothing(bench: Bench) -> None:
    program = ("f = open('hunts/half.yar', 'w'); "
               f"f.write({rule('half')!r}); f.flush(); print('ready', flush=True); input()")
    writer = subprocess.Popen([sys.executable, "-c", program], cwd=bench.root, env=bench.environment,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    same(writer.stdout.readline(), b"ready\n")
    writer.kill()
    writer.communicate(timeout=RUN_MAX_S)
    same(bench.read("hunts/half/status").split()[0], "draft")
    bench.remount()
    same(bench.read("hunts/half.yar"), rule("half"), "what was written is not lost")
    same(hunts_sent(bench), [])


if __name__ == "__main__":
    main()
