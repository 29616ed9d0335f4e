"""zips/: local samples in zips with a password."""

from __future__ import annotations

import os
import shutil

from harness import Bench, claim, errno_of, main, same


SEVEN_ZIP = shutil.which("7zz") or "7z"  # Debian 12 and 13 call it differently


def unpack(bench: Bench, name: str, password: str, tool: str) -> bytes:
    commands = {"unzip": "unzip -P {password} -q -o -d {to} {zip}", "7z": SEVEN_ZIP + " x -p{password} -y -o{to} {zip}"}
    bench.run(commands[tool].format(password=password, to=bench.inbox, zip=f"zips/{bench.zoo[name].sha256}.zip"))
    return (bench.inbox / bench.zoo[name].sha256).read_bytes()


@claim
def a_local_sample_is_a_zip_that_every_tool_opens(bench: Bench) -> None:
    for name in ("pe32", "marked", "empty", "noise-131073"):
        bench.sample(name).read_bytes()
    for name in ("pe32", "marked", "empty", "noise-131073"):
        path = bench.root / "zips" / f"{bench.zoo[name].sha256}.zip"
        same(len(path.read_bytes()), os.stat(path).st_size, "the size is exact before it is made")
        for tool in ("unzip", "7z"):
            same(unpack(bench, name, "infected", tool), bench.zoo[name].content, f"{tool} {name}")
        assert bench.zoo.marker.encode() not in path.read_bytes()
    same(sorted(os.listdir(bench.root / "zips")),
         sorted(f"{bench.zoo[name].sha256}.zip" for name in ("pe32", "marked", "empty", "noise-131073")))
    same(len(bench.proxy.paid()), 3, "making zips costs nothing, and the empty sample did not either")


@claim
def what_is_not_local_has_no_zip(bench: Bench) -> None:
    same(os.listdir(bench.root / "zips"), [])
    for name in (f"{bench.zoo['pe32'].sha256}.zip", "0" * 64 + ".zip", bench.zoo["pe32"].sha256, "x.zip"):
        same(errno_of(os.stat, bench.root / "zips" / name), "ENOENT", name)
    same(bench.proxy.paid(), [])


@claim
def two_readers_at_once_read_the_same_zip(bench: Bench) -> None:
    bench.sample("marked").read_bytes()
    path = bench.root / "zips" / f"{bench.zoo['marked'].sha256}.zip"
    with path.open("rb") as one, path.open("rb") as two:
        first, second = one.read(), two.read()
        same(first == second, True, "while one is open the other reads the same random bytes")
    (bench.inbox / "copy.zip").write_bytes(path.read_bytes())
    bench.run(f"{SEVEN_ZIP} t -pinfected {bench.inbox}/copy.zip")


@claim(options=["zip_password=s3cret", "zip_method=aes"])
def password_and_method_are_options(bench: Bench) -> None:
    bench.sample("text").read_bytes()
    same(unpack(bench, "text", "s3cret", "7z"), bench.zoo["text"].content)
    assert bench.run(f"{SEVEN_ZIP} t -pinfected zips/{bench.zoo['text'].sha256}.zip", ok=False).returncode
    assert "AES-256" in bench.run(f"{SEVEN_ZIP} l -slt zips/{bench.zoo['text'].sha256}.zip").stdout


@claim
def many_zips_are_listed_without_making_them(bench: Bench) -> None:
    for name in ("pe32", "pe64", "text", "pdf"):
        bench.sample(name).read_bytes()
    bench.run("ls -l zips > /dev/null && du -a zips > /dev/null && find zips -size +1k > /dev/null")
    bench.run("cd zips && sha256sum * > /dev/null")


if __name__ == "__main__":
    main()
