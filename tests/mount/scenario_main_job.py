"""What the program is for: a rule goes in, and its matches are files that every tool can work on."""

import json
import os
import stat
from datetime import datetime, timezone

from harness import ELF_FILES, EVERYTHING, Bench, claim, main, mount_flags, same, sha256
from samples import LABELS

TSV_COLUMNS = "sha256 filetype filesize first_seen label family md5 sha1 state".split()
JSON_FIELDS = {"sha256", "sha1", "md5", "filesize", "first_seen", "filetype", "label", "family", "samples"}
LAYOUT = {"rule.yar", "options", "status", "id", "results.tsv", "results.jsonl", "response.json", "hashes.txt",
          "SHA256SUMS", "samples", "metadata", "ctl", "runs.tsv", "by-family", "by-label", "by-type", "by-year"}


def found_by_yara(bench: Bench, rule: str) -> list[str]:
    (bench.inbox / "yara.yar").write_text(rule)
    lines = bench.run(f"yara -r {bench.inbox}/yara.yar {bench.zoo.directory}").stdout.splitlines()
    return sorted({sha256(line.split(" ", 1)[1]) for line in lines})


def table(bench: Bench, name: str) -> list[dict[str, str]]:
    header, *lines = bench.read(f"hunts/{name}/results.tsv").splitlines()
    same(header.split("\t"), TSV_COLUMNS, "columns of results.tsv")
    return [dict(zip(TSV_COLUMNS, line.split("\t"), strict=True)) for line in lines]


def hash_lines(bench: Bench, path: str) -> list[str]:
    return sorted(bench.read(path).splitlines())


@claim
def a_hunt_finds_what_yara_finds(bench: Bench) -> None:
    for name, rule in {"elf": ELF_FILES, "all": EVERYTHING}.items():
        found = found_by_yara(bench, rule)
        assert len(found) > 3, found
        bench.job(name, rule)
        same(hash_lines(bench, f"hunts/{name}/hashes.txt"), found, f"{name}: hashes.txt and yara -r")
        same(sorted(os.listdir(bench.hunt(name) / "samples")), found, f"{name}: samples/")
    same(bench.proxy.paid(), ["hunt", "hunt"])


@claim
def the_directory_of_a_job_is_complete(bench: Bench) -> None:
    hunt = bench.job("wiper", EVERYTHING)
    same(set(os.listdir(hunt)), LAYOUT, "hunts/wiper/")
    same(bench.read("hunts/wiper.yar"), EVERYTHING, "what was written")
    same(bench.read("hunts/wiper/rule.yar"), EVERYTHING, "what was sent")
    words = bench.read("hunts/wiper/status").split()
    same(words[0], "done", "status")
    counts = dict(word.split("=") for word in words[1:] if "=" in word)
    same(int(counts["results"]), len(bench.zoo), "results= of status")
    same(int(counts["malware"]), 2, "malware= of status")
    reqid = bench.proxy.calls("hunt")[0].reqid
    same(bench.read("hunts/wiper/id").strip(), reqid, "id")
    same(set(os.listdir(bench.root / "requests" / reqid)), LAYOUT, "requests/<id>/")
    same(json.loads(bench.read("hunts/wiper/response.json"))["meta"]["reqid"], reqid, "response.json")
    assert "limit=1000" in bench.read("hunts/wiper/options")


@claim
def results_have_the_names_and_values_of_the_service(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    rows = {row["sha256"]: row for row in table(bench, "wiper")}
    objects = [json.loads(line) for line in bench.read("hunts/wiper/results.jsonl").splitlines()]
    same({one["sha256"] for one in objects}, set(rows), "results.jsonl and results.tsv")
    assert all(set(one) <= JSON_FIELDS for one in objects), objects
    for name, (label, family, first_seen) in LABELS.items():
        sample = bench.zoo[name]
        row = rows[sample.sha256]
        same((row["label"], row["family"], int(row["filesize"])), (label, family, sample.size), name)
        same(row["first_seen"].replace("-", "/"), first_seen, name)
        same(row["state"], "remote", name)
    types = {name: rows[bench.zoo[name].sha256]["filetype"] for name in ("pe32", "pe64", "pdf", "true")}
    same(types, {"pe32": "PE32", "pe64": "PE64", "pdf": "PDF", "true": "ELF64"})


@claim
def looking_at_results_spends_nothing_and_asks_nothing(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    before = bench.proxy.asked()
    bench.run("ls -lR . && ls -la hunts/wiper/samples && find . -type f -size +1k -newer README")
    bench.run("stat hunts/wiper/samples/* && du -a hunts && test -r samples && find hunts -name '*.yar' -ls")
    same([str(call) for call in bench.proxy.asked()[len(before):]], [], "calls made by looking")
    same(bench.proxy.paid(), ["hunt"])


@claim
def attributes_are_exact_before_the_first_read(bench: Bench) -> None:
    samples = bench.job("wiper", EVERYTHING) / "samples"
    for sample in bench.zoo:
        status = os.stat(samples / sample.sha256)
        same(status.st_size, sample.size, sample.path.name)
        same(stat.filemode(status.st_mode), "-r--------", sample.path.name)
        same(status.st_blocks, (sample.size + 511) // 512, f"st_blocks of {sample.path.name}")
    for name, (_, _, first_seen) in LABELS.items():
        date = datetime.strptime(first_seen, "%Y/%m/%d").replace(tzinfo=timezone.utc)
        same(os.stat(samples / bench.zoo[name].sha256).st_mtime, date.timestamp(), f"mtime of {name}")
    same(bench.proxy.paid(), ["hunt"])


@claim
def reading_downloads_every_sample_once_for_ever(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    check = "cd hunts/wiper/samples && sha256sum -c ../SHA256SUMS"
    same(bench.run(check).stdout.count(": OK"), len(bench.zoo), "files that sha256sum finds right")
    paid = bench.proxy.paid()
    same(sorted(paid[1:]), sorted(sample.sha256 for sample in bench.zoo.costly), "downloads")
    bench.run(check)
    same(len(os.listdir(bench.root / "samples")), len(bench.zoo), "samples/ lists what is local")
    same({row["state"] for row in table(bench, "wiper")}, {"local"}, "state after reading")
    bench.remount()
    bench.run(check)
    same(len(os.listdir(bench.root / "samples")), len(bench.zoo), "samples/ after a remount")
    same(bench.proxy.paid(), paid, "paid after reading three times")


@claim
def tools_that_map_and_seek_get_the_right_bytes(bench: Bench) -> None:
    samples = bench.job("wiper", EVERYTHING) / "samples"
    (bench.inbox / "marker.yar").write_text(f'rule m {{ strings: $a = "{bench.zoo.marker}" condition: #a == 2 }}')
    hits = bench.run(f"yara -r {bench.inbox}/marker.yar {samples}").stdout.split()
    same(hits[1:], [str(samples / bench.zoo["marked"].sha256)], "yara on the mount")
    big = bench.zoo["noise-3145728"]
    for skip, count in ((0, 1), (131071, 2), (big.size - 1, 9), (big.size, 1)):
        with open(samples / big.sha256, "rb", buffering=0) as file:
            same(os.pread(file.fileno(), count, skip), big.content[skip : skip + count], f"{count} bytes at {skip}")
    same(sorted(bench.proxy.paid()[1:]), sorted(sample.sha256 for sample in bench.zoo.costly), "downloads")


@claim
def one_sample_is_one_inode_everywhere(bench: Bench) -> None:
    hunt = bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    for sample in bench.zoo:
        places = [hunt / "samples", bench.root / "requests" / reqid / "samples", bench.root / "samples"]
        same(len({os.stat(place / sample.sha256).st_ino for place in places}), 1, sample.path.name)
    inodes = {os.stat(hunt / "samples" / sample.sha256).st_ino for sample in bench.zoo}
    same(len(inodes), len(bench.zoo), "different samples have different inodes")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_sample_cannot_be_run(bench: Bench) -> None:
    sample = bench.job("elf", ELF_FILES) / "samples" / bench.zoo["true"].sha256
    flags = mount_flags(bench.root)
    assert all(flag in flags for flag in ("noexec", "nosuid", "nodev")), flags
    result = bench.run(str(sample), ok=False)
    assert result.returncode == 126 and "Permission denied" in result.stderr, result
    loader = bench.run(f"cp {sample} {bench.inbox}/program && cmp {sample} {bench.inbox}/program")
    same(loader.stderr, "")


if __name__ == "__main__":
    main()
