"""Which names exist, which resolve without being listed, and which never leave this machine."""

import os
from concurrent.futures import ThreadPoolExecutor

from harness import Bench, claim, errno_of, main, same

ROOT = {"README", "quotas", "quotas.json", "status", "hunts", "requests", "samples", "metadata"}
PROBED_BY_SHELLS_AND_DESKTOPS = (".git", ".hidden", "autorun.inf", ".Trash-0", ".directory", "desktop.ini")
RULE = "rule r { condition: filesize > 1 }\n"


@claim
def the_root_has_what_the_readme_says(bench: Bench) -> None:
    listed = set(os.listdir(bench.root))
    assert ROOT <= listed, f"missing {ROOT - listed}"
    readme = bench.read("README")
    for name in listed - {"README"}:
        assert name in readme, f"README does not mention {name}"


@claim
def an_upper_case_hash_is_the_same_inode(bench: Bench) -> None:
    sample = bench.zoo["pe32"]
    for directory, suffix in (("samples", ""), ("metadata", ".json")):
        lower = os.stat(bench.root / directory / f"{sample.sha256}{suffix}")
        upper = os.stat(bench.root / directory / f"{sample.sha256.upper()}{suffix}")
        same(upper.st_ino, lower.st_ino, directory)
    same(bench.sample(sample).read_bytes(), (bench.root / "samples" / sample.sha256.upper()).read_bytes())
    same(bench.proxy.paid(), [sample.sha256])


@claim
def listings_show_only_what_is_local(bench: Bench) -> None:
    same(os.listdir(bench.root / "samples"), [])
    os.stat(bench.sample("pe32"))
    same(os.listdir(bench.root / "samples"), [], "after a stat")
    bench.sample("pe64").read_bytes()
    same(os.listdir(bench.root / "samples"), [bench.zoo["pe64"].sha256], "after a read")
    bench.run("find . -type f | wc -l && grep -r nothing samples", ok=False)
    same(bench.proxy.paid(), [bench.zoo["pe64"].sha256])


@claim
def names_that_are_no_hash_ask_nobody(bench: Bench) -> None:
    before = len(bench.proxy.asked())
    bad = [*PROBED_BY_SHELLS_AND_DESKTOPS, "0" * 63, "0" * 65, "g" * 64, "0" * 64 + ".exe", "0" * 32]
    for directory in ("samples", "metadata", "requests", "hunts", "."):
        for name in bad:
            error = errno_of(os.stat, bench.root / directory / name)
            assert error in ("ENOENT", "EINVAL"), f"{directory}/{name}: {error}"
    same(len(bench.proxy.asked()), before, "calls")


@claim
def hashes_that_begin_alike_are_different_files(bench: Bench) -> None:
    with ThreadPoolExecutor(50) as pool:
        paths = [bench.root / "samples" / f"{number:064x}" for number in range(1, 101)]
        same(set(pool.map(lambda path: errno_of(os.stat, path), paths)), {"ENOENT"})


@claim
def hunts_accept_readable_names_only(bench: Bench) -> None:
    hunts = bench.root / "hunts"
    (hunts / "späte Würmer 2.yar").write_text(RULE)
    (hunts / ("n" * 196 + ".yar")).write_text(RULE)
    for name in ("n" * 201 + ".yar", "bell\a.yar", "line\nbreak.yar", b"\xff\xfe.yar"):
        raw = os.fsencode(hunts) + b"/" + (name if isinstance(name, bytes) else name.encode())
        error = errno_of(os.open, raw, os.O_CREAT | os.O_WRONLY)
        assert error in ("EINVAL", "ENAMETOOLONG", "EILSEQ", "EACCES", "EPERM"), f"{name!r}: {error}"
    listed = os.listdir(hunts)
    assert "späte Würmer 2" in listed and "späte Würmer 2.yar" in listed, listed
    same(bench.proxy.paid(), ["hunt"], "the same text is one hunt")


@claim
def what_is_there_is_eexist_and_what_cannot_be_made_is_erofs(bench: Bench) -> None:
    """As in every directory; any hash and any id is there until the service says otherwise."""
    hunt = bench.job("wiper", RULE)
    [reqid] = os.listdir(bench.root / "requests")
    bench.sample("pe32").read_bytes()
    there = [bench.root / "requests" / reqid, bench.sample("pe32"), bench.sample("pe64"), bench.root / "samples" / ("0" * 64),
             bench.root / "status", bench.root / "hunts", hunt, hunt / "status"]
    absent = [bench.root / "requests" / "new", bench.root / "samples" / "new", bench.root / "new"]
    for paths, wanted in ((there, "EEXIST"), (absent, "EROFS")):
        for path in paths:
            same({errno_of(make, path) for make in (os.mkdir, os.mknod, lambda path: os.symlink("x", path),
                  lambda path: os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))}, {wanted}, str(path))
    same(bench.proxy.paid(), ["hunt", bench.zoo["pe32"].sha256])


@claim
def dot_dot_and_links_count_as_everywhere(bench: Bench) -> None:
    bench.job("wiper", RULE)
    same(os.stat(bench.root / "hunts/wiper/samples/../..").st_ino, os.stat(bench.root / "hunts").st_ino)
    for directory in (".", "hunts", "hunts/wiper", "samples"):
        path = bench.root / directory
        same(sorted(os.listdir(path)), sorted(entry.name for entry in os.scandir(path)), directory)
        inodes = {entry.name: entry.inode() for entry in os.scandir(path)}
        same({name: os.stat(path / name).st_ino for name in inodes}, inodes, f"inodes in the listing of {directory}")


if __name__ == "__main__":
    main()
