"""Random sequences of what programs do in hunts/, compared step by step with a model of the contract.

MQFS_MODEL_SEQUENCES sequences (500) of the seed MQFS_MODEL_SEED (1), some on each mount. A sequence's texts carry its
number, so that no sequence shows the request of another. After each step these must be as the model says: the errno,
the listing, the bytes of each file, of each hunt the first word of `status` and its request, and the rules that were
sent. MQFS_MODEL_STEPS is the length of a sequence (12).

Where the contract says nothing the model has what malqueryfs does:

- A file that is truncated to nothing stays empty and its hunt stays as it is, until something is written again.
- Scratch is not listed. A rule renamed to scratch hides its file; its directory stays and keeps its name and suffix.
- "a.yar" and "a.yara" are one hunt: the second cannot be made while the first is a hunt, by a rename neither. When it was
  an empty file before, closing it with a text is EEXIST, and the text stays in memory until the hunt is gone.
- A rename that is refused with EINVAL leaves the old name; the new name's hunt has the text, but a file that was hidden
  or empty stays so.
- A draft with a wrong rule is EINVAL when it is written, but not when the very same text is written again.
- truncate(2) by path says nothing of the rule. What it queues is sent behind its back; here `retry` waits for that.
- `retry` sends what was rejected, and shows what was sent before with the same text; a draft is left alone, and EINVAL
  without a request. `run` always sends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from harness import Bench, claim, errno_of, main, same

SEED = int(os.environ.get("MQFS_MODEL_SEED", "1"))
SEQUENCES = int(os.environ.get("MQFS_MODEL_SEQUENCES", "500"))
STEPS = int(os.environ.get("MQFS_MODEL_STEPS", "12"))
SEQUENCES_A_MOUNT = 50  # far within the time of a claim
DESCRIPTORS_MORE = 8  # connections that may be open or not

FINAL_NAMES = ("a.yar", "b.yar", "c.yara", "a.yara")
SCRATCH_NAMES = (".x.yar.swp", "tmpab", "sedXYZ", "b.yar~")
NO_NAME = "x.txt"
DEFAULTS = ".defaults"
RULES = (b"rule one { condition: filesize > 1 }", b"rule two { condition: filesize > 2 }")
REMARK = b"// a remark\n"
WRONG_WORDS = ("rum", "run now", "FORGET", "fetch some", "run\nrun")


def base_of(name: str) -> str:
    return name.rpartition(".")[0]


def suffix_of(name: str) -> str:
    return "." + name.rpartition(".")[2]


def is_valid(text: bytes) -> bool:
    """One rule and remarks, of the lines that are written here."""
    lines = [line for line in text.splitlines() if not line.startswith(b"//")]
    return len(lines) == 1 and lines[0] in RULES


# ---- the model ----


@dataclass
class Hunt:
    suffix: str
    text: bytes
    state: str = ""  # draft, queued, sent, rejected
    request: int | None = None  # its place among what was sent


@dataclass
class Model:
    """What a user is promised of hunts/. Each operation changes it and returns the name of the errno, or None."""

    hunts: dict[str, Hunt] = field(default_factory=dict)
    held: dict[str, bytes | None] = field(default_factory=dict)  # in memory: scratch, empty files; None: hidden
    sent: list[bytes] = field(default_factory=list)

    # what is there

    def text(self, name: str) -> bytes | None:
        if name in self.held:
            return self.held[name]
        hunt = self.hunts.get(base_of(name)) if name in FINAL_NAMES else None
        return hunt.text if hunt and hunt.suffix == suffix_of(name) else None

    def listing(self) -> list[str]:
        return sorted([DEFAULTS, *self.hunts, *(name for name in FINAL_NAMES if self.text(name) is not None)])

    def _may_create(self, name: str) -> str | None:
        if name == NO_NAME:
            return "EINVAL"
        hunt = self.hunts.get(base_of(name)) if name in FINAL_NAMES else None
        return "EEXIST" if hunt and hunt.suffix != suffix_of(name) else None

    # what a text means

    def _submit(self, hunt: Hunt, *, always: bool = False) -> str | None:
        hunt.state = "sent" if is_valid(hunt.text) else "rejected"
        if hunt.state == "rejected":
            return "EINVAL"
        if always or hunt.text not in self.sent:
            self.sent.append(hunt.text)
        hunt.request = max(place for place, text in enumerate(self.sent) if text == hunt.text)
        return None

    def _put(self, name: str, text: bytes) -> tuple[Hunt, bool]:
        """The hunt with its new text and state, and whether anything is new about it."""
        hunt = self.hunts.setdefault(base_of(name), Hunt(suffix_of(name), b""))
        before = (hunt.state, hunt.text)
        if hunt.request is not None and self.sent[hunt.request] == text:
            state = "sent"
        else:
            state = "queued" if hunt.request is None else "draft"
        if before != (state, text):
            hunt.suffix, hunt.text, hunt.state = suffix_of(name), text, state
        return hunt, before != (state, text)

    def _commit(self, name: str, text: bytes) -> str | None:
        hunt, is_new = self._put(name, text)
        if hunt.state == "queued":
            return self._submit(hunt)
        return "EINVAL" if is_new and hunt.state == "draft" and not is_valid(text) else None

    def _is_taken(self, name: str) -> bool:
        """By the same name with the other suffix."""
        hunt = self.hunts.get(base_of(name))
        return bool(hunt and hunt.suffix != suffix_of(name))

    def _close(self, name: str, text: bytes) -> str | None:
        if name in SCRATCH_NAMES or not text:
            self.held[name] = text
            return None
        if self._is_taken(name):
            self.held[name] = text
            return "EEXIST"
        self.held.pop(name, None)
        return self._commit(name, text)

    # operations

    def create(self, name: str) -> str | None:
        """O_EXCL, and nothing is written."""
        if self.text(name) is not None:
            return "EEXIST"
        return self._may_create(name) or self._close(name, b"")

    def write(self, name: str, text: bytes) -> str | None:
        if self.text(name) is None and (error := self._may_create(name)):
            return error
        return self._close(name, text)

    def append(self, name: str, text: bytes) -> str | None:
        return self.write(name, (self.text(name) or b"") + text)

    def truncate(self, name: str, size: int) -> str | None:
        if self.text(name) is None:
            return "ENOENT"
        text = self.text(name)[:size]
        if name in SCRATCH_NAMES or not text or self._is_taken(name):
            return self._close(name, text)
        self.held.pop(name, None)
        self._put(name, text)
        return None

    def unlink(self, name: str) -> str | None:
        if self.text(name) is None:
            return "ENOENT"
        self.held.pop(name, None)
        if name in FINAL_NAMES and (hunt := self.hunts.get(base_of(name))) and hunt.suffix == suffix_of(name):
            del self.hunts[base_of(name)]
        return None

    def rename(self, name: str, new: str) -> str | None:
        text = self.text(name)
        if text is None:
            return "ENOENT"
        if name == new:
            return None
        if error := self._may_create(new):
            return error
        is_hunt = name in FINAL_NAMES and base_of(name) in self.hunts and not self._is_taken(name)
        if is_hunt and new in FINAL_NAMES:
            self._rename_hunt(name, new)
            return None
        if new in SCRATCH_NAMES or not text:
            self.held[new] = text
        elif error := self._commit(new, text):
            return error
        else:
            self.held.pop(new, None)
        if is_hunt:
            self.held[name] = None
        else:
            del self.held[name]
        return None

    def _rename_hunt(self, name: str, new: str) -> None:
        """With all that it has."""
        hunt = self.hunts.pop(base_of(name))
        hunt.suffix = suffix_of(new)
        self.hunts[base_of(new)] = hunt
        self.held.pop(new, None)
        if name in self.held:
            self.held[new] = self.held.pop(name)

    def ctl(self, base: str, words: str) -> str | None:
        hunt = self.hunts.get(base)
        if not hunt:
            return "ENOENT"
        match words.partition(" ")[0]:
            case _ if words in WRONG_WORDS:
                return "EINVAL"
            case "run":
                return self._submit(hunt, always=True)
            case "retry" if hunt.state == "draft":
                return "EINVAL" if hunt.request is None else None
            case "retry" if hunt.state != "sent":
                return self._submit(hunt)
            case "forget":
                self.held.pop(base + hunt.suffix, None)
                del self.hunts[base]
        return None


# ---- the mount ----


class Mount:
    """The same operations, for real."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.hunts = bench.root / "hunts"

    def _put(self, name: str, flags: int, text: bytes = b"") -> None:
        descriptor = os.open(self.hunts / name, os.O_WRONLY | os.O_CREAT | flags)
        try:
            if text:
                os.write(descriptor, text)
        finally:
            os.close(descriptor)

    def create(self, name: str) -> None:
        self._put(name, os.O_EXCL)

    def write(self, name: str, text: bytes) -> None:
        self._put(name, os.O_TRUNC, text)

    def append(self, name: str, text: bytes) -> None:
        self._put(name, os.O_APPEND, text)

    def truncate(self, name: str, size: int) -> None:
        os.truncate(self.hunts / name, size)

    def unlink(self, name: str) -> None:
        os.unlink(self.hunts / name)

    def rename(self, name: str, new: str) -> None:
        os.rename(self.hunts / name, self.hunts / new)

    def ctl(self, base: str, words: str) -> None:
        descriptor = os.open(self.hunts / base / "ctl", os.O_WRONLY)
        try:
            os.write(descriptor, words.encode() + b"\n")
        finally:
            os.close(descriptor)

    def text(self, name: str) -> bytes | None:
        try:
            return (self.hunts / name).read_bytes()
        except FileNotFoundError:
            return None

    def state(self, base: str) -> str:
        word = (self.hunts / base / "status").read_text().split()[0]
        return "sent" if word in ("queued", "inprogress", "done") else word

    def request(self, base: str) -> str | None:
        try:
            return (self.hunts / base / "id").read_text().strip()
        except FileNotFoundError:
            return None


def check(model: Model, mount: Mount, n_sent_before: int) -> None:
    calls = mount.bench.proxy.calls("hunt")[n_sent_before:]
    same([call.json["yara_rule"].encode() for call in calls], model.sent, "rules that were sent")
    same(sorted(os.listdir(mount.hunts)), model.listing(), "listing")
    for name in (*FINAL_NAMES, *SCRATCH_NAMES):
        same(mount.text(name), model.text(name), f"text of {name}")
    for base, hunt in model.hunts.items():
        same(mount.state(base), hunt.state, f"state of {base}")
        same(mount.request(base), None if hunt.request is None else calls[hunt.request].reqid, f"request of {base}")


# ---- sequences ----


Step = tuple[str, tuple]


def random_step(random: Random, model: Model, number: int) -> Step:
    """An operation that need not be possible; likelier one on what is there."""
    names = (*FINAL_NAMES, *SCRATCH_NAMES)
    head = b"// sequence %d\n" % number
    texts = [head + rule + b"\n" for rule in RULES]
    texts += [texts[0] + REMARK, texts[0] + texts[1], head + RULES[0][:-1], head, b""]
    there = [name for name in names if model.text(name) is not None]
    name = random.choice(there if there and random.random() < 0.6 else (*names, NO_NAME))
    kind = random.choices(("write", "append", "truncate", "rename", "unlink", "ctl", "create"), (6, 2, 3, 5, 2, 4, 1))[0]
    match kind:
        case "write":
            return kind, (name, random.choice(texts))
        case "append":
            return kind, (name, random.choice((REMARK, texts[0], texts[1])))
        case "truncate":
            return kind, (name, random_size(random, model.text(name) or b""))
        case "rename":
            return kind, (name, random.choice((*names, *FINAL_NAMES, NO_NAME)))
        case "ctl":
            base = base_of(random.choice(FINAL_NAMES))
            return kind, (base, random.choice(("run", "note x", "note", "forget", "retry", random.choice(WRONG_WORDS))))
    return kind, (name,)


def random_size(random: Random, text: bytes) -> int:
    """Nothing, all, or up to the end of a line or into it."""
    ends = [place + 1 for place, byte in enumerate(text) if byte == ord("\n")]
    return random.choice([0, len(text), *ends, *(end - 2 for end in ends)])


def take(step: Step, model: Model, mount: Mount) -> None:
    kind, arguments = step
    wanted = getattr(model, kind)(*arguments)
    same(errno_of(getattr(mount, kind), *arguments), wanted, "errno")
    for base in [base for base, hunt in model.hunts.items() if hunt.state == "queued"]:
        wanted = model.ctl(base, "retry")
        same(errno_of(mount.ctl, base, "retry"), wanted, f"errno of retry in {base}")


def clear(model: Model, mount: Mount) -> None:
    """Deletes everything; a hidden file goes once it is there again."""
    for base in list(model.hunts):
        take(("ctl", (base, "forget")), model, mount)
    for name in list(model.held):
        take(("write", (name, b"")), model, mount)
        take(("unlink", (name,)), model, mount)


def sequence(bench: Bench, number: int) -> None:
    random = Random(f"{SEED} {number}")
    model = Model()
    mount = Mount(bench)
    n_sent_before = len(bench.proxy.calls("hunt"))
    steps: list[Step] = []
    try:
        for _ in range(STEPS):
            steps.append(random_step(random, model, number))
            take(steps[-1], model, mount)
            check(model, mount, n_sent_before)
        steps.append(("clear", ()))
        clear(model, mount)
        check(model, mount, n_sent_before)
    except Exception as error:
        lines = [f"    {kind}{arguments!r}" for kind, arguments in steps]
        raise AssertionError("\n".join([f"sequence {number} of seed {SEED}, at its last step:", *lines, str(error)]))


def n_descriptors(bench: Bench) -> int:
    return len(os.listdir(f"/proc/{bench.program.pid}/fd"))


def sequences_from(first: int) -> Callable[[Bench], None]:
    def test(bench: Bench) -> None:
        sequence(bench, first)
        n_before = n_descriptors(bench)
        for number in range(first + 1, min(first + SEQUENCES_A_MOUNT, SEQUENCES)):
            sequence(bench, number)
        assert n_descriptors(bench) <= n_before + DESCRIPTORS_MORE, "descriptors are left open"
        accepted = [call.reqid for call in bench.proxy.calls("hunt")]
        same(sorted(os.listdir(bench.root / "requests")), sorted(accepted), "every request is kept")

    test.__name__ = f"sequences_from_{first}"
    return test


for number in range(0, SEQUENCES, SEQUENCES_A_MOUNT):
    claim(sequences_from(number), engine=["--hunt-limit", "100000", "--job-delay-ms", "0"])

if __name__ == "__main__":
    main()
