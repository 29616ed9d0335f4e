"""Random sequences of what a user does in hunts/, compared with a model of the contract after every step.

The model knows nothing of how it is done: which texts were ever accepted, and for each name its text, the text that its
request was sent with, and one of three words. It predicts the errno of each step, the listing, the texts, the first word of
each status, and every rule that is sent. MQFS_MODEL_SEED and MQFS_MODEL_SEQUENCES make other and longer runs.
"""

from __future__ import annotations

import functools
import os
import random
from dataclasses import dataclass

from harness import Bench, claim, errno_of, main, same

SEED = int(os.environ.get("MQFS_MODEL_SEED", "1"))
SEQUENCES = int(os.environ.get("MQFS_MODEL_SEQUENCES", "500"))
CLAIMS = 10  # each with a mount of its own
STEPS = 8
NAMES = ("a", "b", "c")
SCRATCH = (".a.yar.swp", "tmpq1w2e3", "b.yar~")
SENT = {"queued", "inprogress", "done"}


@dataclass
class Entry:
    text: str
    word: str  # sent, draft or rejected
    sent: str | None  # what its request was sent with


class Model:
    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.scratch: dict[str, str] = {}
        self.accepted: set[str] = set()
        self.posts: list[str] = []

    def send(self, entry: Entry, forced: bool) -> str | None:
        if "broken" in entry.text:
            entry.word = "rejected"
            return "EINVAL"
        if forced or entry.text not in self.accepted:
            self.posts.append(entry.text)
        self.accepted.add(entry.text)
        entry.word, entry.sent = "sent", entry.text
        return None

    def write(self, name: str, text: str) -> str | None:
        entry = self.entries.get(name)
        if entry and entry.sent == text:
            entry.text, entry.word = text, "sent"
            return None
        if entry and entry.text == text and entry.word == "draft":
            return None
        if entry and entry.sent is not None:
            entry.text, entry.word = text, "draft"
            return "EINVAL" if "broken" in text else None
        self.entries[name] = Entry(text, "", None)
        return self.send(self.entries[name], False)


class Run:
    """One step of the model and the same on the mount."""

    def __init__(self, bench: Bench, model: Model, chance: random.Random, texts: list[str]) -> None:
        self.bench, self.model, self.chance, self.texts = bench, model, chance, texts
        self.hunts = bench.root / "hunts"
        self.trace: list[str] = []

    def path(self, name: str) -> str:
        return str(self.hunts / f"{name}.yar")

    def write(self) -> None:
        name, text = self.chance.choice(NAMES), self.chance.choice(self.texts)
        self.step(f"write {name} {text!r}", errno_of(lambda: (self.hunts / f"{name}.yar").write_text(text)),
                  self.model.write(name, text))

    def cut_and_write(self) -> None:
        if self.model.entries:
            name, text = self.chance.choice(sorted(self.model.entries)), self.chance.choice(self.texts)
            os.truncate(self.path(name), 0)
            self.step(f"truncate and write {name} {text!r}",
                      errno_of(lambda: (self.hunts / f"{name}.yar").write_text(text)), self.model.write(name, text))

    def write_scratch(self) -> None:
        name, text = self.chance.choice(SCRATCH), self.chance.choice(self.texts)
        self.model.scratch[name] = text
        self.step(f"write {name}", errno_of((self.hunts / name).write_text, text), None)

    def save(self) -> None:
        if self.model.scratch:
            scratch, name = self.chance.choice(sorted(self.model.scratch)), self.chance.choice(NAMES)
            wanted = self.model.write(name, self.model.scratch[scratch])
            if wanted is None:
                del self.model.scratch[scratch]
            self.step(f"rename {scratch} to {name}", errno_of(os.rename, self.hunts / scratch, self.path(name)), wanted)

    def move(self) -> None:
        if self.model.entries:
            name, to = self.chance.choice(sorted(self.model.entries)), self.chance.choice(NAMES)
            self.model.entries[to] = self.model.entries.pop(name)
            self.step(f"rename {name} to {to}", errno_of(os.rename, self.path(name), self.path(to)), None)

    def remove(self) -> None:
        name = self.chance.choice(NAMES)
        gone = self.model.entries.pop(name, None)
        self.step(f"unlink {name}", errno_of(os.unlink, self.path(name)), None if gone else "ENOENT")

    def tell(self) -> None:
        if self.model.entries:
            name = self.chance.choice(sorted(self.model.entries))
            words = self.chance.choice(("run", "forget", "note seen", "rum", "note"))
            wanted = {"rum": "EINVAL"}.get(words)
            if words == "run":
                wanted = self.model.send(self.model.entries[name], True)
            if words == "forget":
                del self.model.entries[name]
            self.step(f"{words} > {name}/ctl", errno_of((self.hunts / name / "ctl").write_text, words + "\n"), wanted)

    def step(self, what: str, got: str | None, wanted: str | None) -> None:
        self.trace.append(what)
        where = "\n".join(self.trace)
        same(got, wanted, where)
        listing = {".defaults"} | {f"{name}.yar" for name in self.model.entries} | set(self.model.entries)
        same(set(os.listdir(self.hunts)), listing, where)
        for name, entry in self.model.entries.items():
            same(self.bench.read(f"hunts/{name}.yar"), entry.text, where)
            word = self.bench.read(f"hunts/{name}/status").split()[0]
            same("sent" if word in SENT else word, entry.word, f"{where}\nstatus of {name}")
        for name, text in self.model.scratch.items():
            same((self.hunts / name).read_text(), text, where)
        same([call.json["yara_rule"] for call in self.bench.proxy.calls("hunt")], self.model.posts, where)

    def clean(self) -> None:
        for name in list(self.model.entries):
            os.unlink(self.path(name))
        for name in list(self.model.scratch):
            os.unlink(self.hunts / name)
        self.model.entries.clear()
        self.model.scratch.clear()


def sequences_do_what_the_model_does(bench: Bench, part: int) -> None:
    model = Model()
    for number in range(part, SEQUENCES, CLAIMS):
        chance = random.Random(f"{SEED} {number}")
        texts = [f"rule r{number}_{i} {{ condition: filesize > {i} }}\n" for i in range(3)] + [f"rule broken{number} {{\n"]
        run = Run(bench, model, chance, texts)
        for _ in range(STEPS):
            chance.choices((run.write, run.cut_and_write, run.write_scratch, run.save, run.move, run.remove, run.tell),
                           (4, 1, 2, 3, 1, 1, 3))[0]()
        run.clean()
    same(len(bench.proxy.paid()), len(model.posts), "no second POST")


for number in range(CLAIMS):
    test = functools.partial(sequences_do_what_the_model_does, part=number)
    test.__name__ = f"sequences_do_what_the_model_does_{number}"
    claim(engine=["--hunt-limit", "100000", "--rate-limit", "1000000", "--job-delay-ms", "0"])(test)


if __name__ == "__main__":
    main()
