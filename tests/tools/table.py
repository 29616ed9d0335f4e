"""The tools as data. A row is a line for the shell, run beside `samples` on the mount and beside the plain copy of it:

{samples}  the files of samples/, sorted           {rules} {signatures} {clamd}  what the tool is told to use
{pe} {pdf} those of a kind, see kinds.py           {out}    an empty directory, another one for each run
{plain}    one more directory with plain copies    {programs}  programs/ of this directory
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

SEVEN_ZIP = shutil.which("7zz") or "7z"  # Debian 12 and 13 call it differently
LOOKS_ONLY = "GIO only looks, so it may not make a sample come (`-o deny=`), and takes the type from the name"
COPIES_ALL = "rclone copies whole trees, so it may not make a sample come (`-o deny=`)"
NO_DISK = "blocks are what the bytes take, in units of 512; a disk has larger ones"


@dataclass(frozen=True)
class Tool:
    name: str
    packages: str  # the first is the one whose version is told
    command: str
    shows: str  # pattern of what the result has to have in it, or the tool did not do its work
    unordered: bool = False  # lines come in the order of the directory, or of threads
    drop: str | None = None  # pattern of what is different in each run: times, mostly
    opens_nothing: bool = False
    differs: str = ""  # why the result is another one on the mount, by principle
    is_full: bool = False  # only when all is tried: what it needs is large


HASHES = (
    Tool("sha256sum", "coreutils", "sha256sum {samples}", r"^([0-9a-f]{64})  samples/\1$"),
    Tool("hashdeep", "hashdeep", "hashdeep -c md5,sha256 -r -l samples", r",samples/[0-9a-f]{64}$", unordered=True),
    Tool("ssdeep", "ssdeep", "ssdeep -l {samples}", r"^3072:.*samples/"),
    Tool("tlsh", "tlsh-tools", "tlsh_unittest -r samples", r"^[0-9A-F]{70,72}\t", unordered=True),
    Tool("jdupes", "jdupes", "jdupes -q -r samples {plain}", r"^samples/", unordered=True),
)

SCANNERS = (
    Tool("yara", "yara", "yara -r -s {rules} samples", r"^stormy samples/", unordered=True),
    Tool("yara, one thread", "yara", "yara -p 1 -r {rules} samples", r"^pe_file samples/", unordered=True),
    Tool("python3-yara", "python3-yara", "/usr/bin/python3 {programs}/match.py {rules} {samples}", r"^elf samples/"),
    Tool("clamscan", "clamav", "clamscan -r --no-summary -d {signatures} samples", r"Test\.Eicar\S* FOUND$",
         unordered=True),
    Tool("clamdscan", "clamdscan clamav-daemon", "clamdscan --no-summary -c {clamd} samples", r"Test\.Pe64\S* FOUND$",
         unordered=True),
    Tool("clamdscan --fdpass", "clamdscan clamav-daemon", "clamdscan --fdpass --no-summary -c {clamd} samples",
         r"Test\.Eicar\S* FOUND$", unordered=True),
    Tool("clamdscan --stream", "clamdscan clamav-daemon", "clamdscan --stream --no-summary -c {clamd} samples",
         r"Test\.Eicar\S* FOUND$", unordered=True),
    Tool("clamdscan --multiscan", "clamdscan clamav-daemon", "clamdscan --multiscan --no-summary -c {clamd} samples",
         r"Test\.Eicar\S* FOUND$", unordered=True),
)

FORMATS = (
    Tool("file", "file", "file {samples}", r"ELF 64-bit LSB"),
    Tool("exiftool", "libimage-exiftool-perl",
         "exiftool -a -G1 --FileAccessDate --FileInodeChangeDate {samples}", r"Comment +: a stormy picture"),
    Tool("binwalk", "binwalk", "binwalk {pe} {zip} {pdf}", r"Zip archive data", drop=r"^Scan Time:.*"),
    Tool("pefile", "python3-pefile clamav-testfiles", "/usr/bin/python3 {programs}/sections.py {pe}", r"\.UPX|UPX0"),
    Tool("readpe", "pev clamav-testfiles", "for f in {pe}; do readpe $f; done", r"Magic number: +0x5a4d"),
    Tool("olefile", "python3-olefile clamav-testfiles", "/usr/bin/python3 {programs}/streams.py {ole}", r"WordDocument"),
    Tool("readelf", "binutils", "readelf -aW {elf}", r"Section Headers:"),
    Tool("objdump", "binutils", "objdump -xd {elf}", r"Disassembly of section \.text"),
    Tool("strings", "binutils", "strings -a -f {samples}", r"dark and stormy"),
    Tool("pdfinfo", "poppler-utils", "for f in {pdf}; do pdfinfo $f; done", r"Title: +A stormy page"),
    Tool("qpdf", "qpdf", "for f in {pdf}; do qpdf --check $f; qpdf --json $f; done", r"No syntax or stream encoding errors"),
    Tool("catdoc", "catdoc clamav-testfiles", "catdoc {doc}; catppt {ppt}", r"."),
    Tool("jq", "jq", "jq -c '[.name, (.sizes | add)]' {json}", r'^\["drill",124750\]$'),
)

ARCHIVES = (
    Tool("7z", "7zip", f"for f in {{7z}}; do {SEVEN_ZIP} x -y -bso0 -bsp0 -o{{out}}/${{{{f##*/}}}} $f; done"
         " && cd {out} && find . -type f -exec sha256sum {{}} +", r"eicar\.com$", unordered=True),
    Tool("unzip", "unzip", "for f in {zip}; do unzip -tq $f; unzip -p $f | sha256sum; done", r"No errors detected"),
    Tool("tar", "tar", "tar -cf - --sort=name samples | tar -xf - -C {out}"
         " && cd {out} && find . -type f -printf '%m %s %t ' -exec sha256sum {{}} ';'", r"^400 ", unordered=True),
    Tool("rsync", "rsync", "rsync -a samples {out} && rsync -aic samples {out}"
         " && cd {out} && find . -type f -printf '%m %s %t ' -exec sha256sum {{}} ';'", r"^400 ", unordered=True),
    Tool("cp", "coreutils", "cp -a samples {out} && diff -r {plain} {out}/samples && ls -l {out}/samples", r"^-r--------",
         drop=r"^total "),
)

TEXT = (
    Tool("ripgrep", "ripgrep", "rg -c 'dark and (stormy|quiet)' samples", r"^samples/.*:9$", unordered=True),
    Tool("ripgrep, mapped", "ripgrep", "rg --mmap -a -o --no-ignore 'stormy' {text} {elf}", r":stormy$", unordered=True),
    Tool("grep -r", "grep", "grep -ra -c stormy samples", r":64$", unordered=True),
    Tool("diff -r", "diffutils", "diff -rs samples {plain}", r"^Files .* are identical$", unordered=True),
)

WALKERS = (
    Tool("find", "findutils", "find samples -type f -size +1k -newermt 2001-01-01 -printf '%p %s %m %t\\n'", r"^samples/",
         unordered=True, opens_nothing=True),
    Tool("du", "coreutils", "du -b {samples}", r"^3145728\t", opens_nothing=True),
    Tool("du, in blocks", "coreutils", "du -k {samples}", r"^3072\t", opens_nothing=True, differs=NO_DISK),
    Tool("ls", "coreutils", "ls -l {samples}", r"^-r--------", opens_nothing=True),
    Tool("tar to /dev/null", "tar", "tar -cvf /dev/null samples", r"^samples/.", unordered=True, opens_nothing=True),
    Tool("gio list", "libglib2.0-bin", "gio list -a standard::size samples", r"\t3145728\t", unordered=True,
         opens_nothing=True),
    Tool("gio info", "libglib2.0-bin", "gio info -a standard::content-type {elf}",
         r"standard::content-type: application/x-", drop=r"^unix mount:", opens_nothing=True, differs=LOOKS_ONLY),
    Tool("gio info, when local", "libglib2.0-bin", "cat {elf} >{out}/all && gio info -a standard::content-type {elf}",
         r"standard::content-type: application/x-", drop=r"^unix mount:"),
)

PROGRAMS = (
    Tool("Python, threads and signals", "python3", "/usr/bin/python3 {programs}/read_all.py samples",
         r"^([0-9a-f]{64})  \1$"),
    Tool("Node, at once and signals", "nodejs", "node {programs}/read_all.mjs samples", r"^([0-9a-f]{64})  \1$"),
    Tool("rclone", "rclone", "rclone hashsum sha256 --config '' --retries 1 samples", r"^([0-9a-f]{64})  \1$", unordered=True,
         drop=r"^[0-9/]+ [0-9:]+ ", opens_nothing=True, differs=COPIES_ALL),
    Tool("Go, 32 goroutines", "rclone", "cp /usr/bin/rclone {out}/hashes && {out}/hashes hashsum sha256 --config ''"
         " --checkers 32 samples", r"^([0-9a-f]{64})  \1$", unordered=True),
    Tool("Go, goroutines and signals", "golang-go",
         "cp {programs}/read_all.go {out} && cd {out} && GO111MODULE=off GOFLAGS= GOCACHE={out}/cache go build read_all.go"
         " && cd - >{out}/place && {out}/read_all samples", r"^([0-9a-f]{64})  \1$", is_full=True),
)

TOOLS = HASHES + SCANNERS + FORMATS + ARCHIVES + TEXT + WALKERS + PROGRAMS
