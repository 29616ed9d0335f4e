"""Real editors on a real terminal: the first save of a rule sends it once, every later one keeps a draft."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness import STOP_MAX_S, Bench, claim, main, same, until
from proxy import delay
from terminal import Terminal

SLOW_S = 1.2  # the times of files are in seconds
# What these editors put beside a file, for a moment or for good.
BESIDE = (".{0}.swp", ".{0}.swo", ".{0}.swx", ".{0}.un~", "{0}~", "4913", ".#{0}", "#{0}#")


@dataclass(frozen=True)
class Editor:
    """How a user works with it; names are patterns as in BESIDE."""

    name: str
    command: tuple[str, ...]
    home: dict[str, str] = field(default_factory=dict)  # the user's configuration: files and their text
    keeps: tuple[str, ...] = ()  # beside a file that was changed, because the user wants it so
    rescues: str | None = None  # where it puts what is not saved when the terminal goes away
    failed: int = 0  # exit status after a failure

    def open(self, bench: Bench, path: str) -> Terminal:
        for name, text in self.home.items():
            file = bench.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return Terminal(bench, *self.command, path)

    # What differs. `lines` are all the lines of the file, or none for a new one.

    def begin(self, terminal: Terminal, lines: Sequence[str]) -> None:
        """The file is on the screen."""
        raise NotImplementedError

    def add(self, terminal: Terminal, lines: Sequence[str], new: Sequence[str]) -> None:
        """`new` lines at the end; the last of them is unlike anything on the screen."""
        raise NotImplementedError

    def save(self, terminal: Terminal, lines: Sequence[str]) -> None:
        raise NotImplementedError

    def save_in_vain(self, terminal: Terminal) -> None:
        """The editor says that it failed, and is ready for more afterwards."""
        raise NotImplementedError

    def save_again(self, terminal: Terminal, lines: Sequence[str], is_new: bool) -> None:
        """After a failure, when some editors take the file for another's. `is_new`: it did not exist before that."""
        self.save(terminal, lines)

    def quit(self, terminal: Terminal) -> None:
        raise NotImplementedError


class Vim(Editor):
    def begin(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.see(f"{len(text_of(lines))}B" if lines else "[New]")

    def add(self, terminal: Terminal, lines: Sequence[str], new: Sequence[str]) -> None:
        terminal.type("Go" if lines else "i")
        terminal.see("-- INSERT --")
        terminal.type("\n".join(new))
        terminal.see(new[-1])
        terminal.press("Escape")

    def save(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.type(":w\n")
        terminal.see(f"{len(text_of(lines))}B written")

    def save_in_vain(self, terminal: Terminal) -> None:
        terminal.type(":w\n")
        terminal.see("E512: Close failed")
        terminal.press("Enter")

    def save_again(self, terminal: Terminal, lines: Sequence[str], is_new: bool) -> None:
        if is_new:
            terminal.type(":w\n")
            terminal.see("E13: File exists (add ! to override)")
        terminal.type(":w!\n" if is_new else ":w\n")
        written = f"{len(text_of(lines))}B written"
        if terminal.search(re.compile(f"{written}|Do you really want to write"))[0] != written:
            terminal.type("y")  # the failed close gave the file another second; vim 9.1 looks at nanoseconds
        terminal.see(written)

    def quit(self, terminal: Terminal) -> None:
        terminal.type(":q\n")


class Nano(Editor):
    def begin(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.see(f"[ Read {len(lines)} line" if lines else "[ New File ]")

    def add(self, terminal: Terminal, lines: Sequence[str], new: Sequence[str]) -> None:
        terminal.press("M-/")
        terminal.type("\n".join(new))
        terminal.see(new[-1])

    def save(self, terminal: Terminal, lines: Sequence[str]) -> None:
        self._write(terminal)
        terminal.see(f"[ Wrote {len(lines)} lines ]")

    def save_in_vain(self, terminal: Terminal) -> None:
        self._write(terminal)
        terminal.see("[ Error writing")

    def save_again(self, terminal: Terminal, lines: Sequence[str], is_new: bool) -> None:
        self._write(terminal)
        if not is_new:
            terminal.see("File was modified since you opened it; continue saving?")
            terminal.type("y")
        terminal.see(f"[ Wrote {len(lines)} lines ]")

    def quit(self, terminal: Terminal) -> None:
        terminal.press("C-x")

    def _write(self, terminal: Terminal) -> None:
        terminal.press("C-o")
        terminal.search(re.compile("File Name to Write|Write to File"))  # nano 7 and 8
        terminal.press("Enter")


class Emacs(Editor):
    def begin(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.see(lines[-1] if lines else "(New file)")

    def add(self, terminal: Terminal, lines: Sequence[str], new: Sequence[str]) -> None:
        terminal.press("M->")
        terminal.type(text_of(new))
        terminal.see(new[-1])

    def save(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.press("C-x", "C-s")
        terminal.see("Wrote ")

    def save_in_vain(self, terminal: Terminal) -> None:
        terminal.press("C-x", "C-s")
        terminal.see("Write error")

    def save_again(self, terminal: Terminal, lines: Sequence[str], is_new: bool) -> None:
        terminal.press("C-x", "C-s")
        if not is_new:
            terminal.see("has changed since visited or saved.  Save anyway?")
            terminal.type("yes\n")
        terminal.see("Wrote ")

    def quit(self, terminal: Terminal) -> None:
        terminal.press("C-x", "C-c")


class Ed(Editor):
    """It shows the sizes of what it reads and writes, and ends with 1 when anything has failed."""

    def begin(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.see(f"{len(text_of(lines))}" if lines else "No such file or directory")

    def add(self, terminal: Terminal, lines: Sequence[str], new: Sequence[str]) -> None:
        terminal.type(f"$a\n{text_of(new)}.\n")

    def save(self, terminal: Terminal, lines: Sequence[str]) -> None:
        terminal.type("w\n")
        terminal.see(f"\n{len(text_of(lines))}")

    def save_in_vain(self, terminal: Terminal) -> None:
        terminal.type("w\n")
        terminal.see("Invalid argument")

    def quit(self, terminal: Terminal) -> None:
        terminal.type("q\n")


# Benches are in /tmp, where vim and emacs do without backups; mounts of users are elsewhere.
VIMRC = "set backupskip=\n"
EMACS_INIT = """(setq backup-enable-predicate 'identity)
(setq native-comp-deferred-compilation nil native-comp-jit-compilation nil)
"""
# By default vim decides whether to make its backup by renaming or by copying, and takes it away after writing.
ORDINARY = (
    Vim("vim", ("vim",), {".vimrc": VIMRC}, rescues=".{0}.swp"),
    Nano("nano", ("nano",), rescues="{0}.save"),
    Emacs("emacs", ("emacs", "-nw"), {".emacs.d/early-init.el": EMACS_INIT}, keeps=("{0}~",)),
    Ed("ed", ("ed",), failed=1),
)
CONFIGURED = (
    Vim("vim_which_renames", ("vim",), {".vimrc": VIMRC + "set backupcopy=no\n"}),
    Vim("vim_which_copies", ("vim",), {".vimrc": VIMRC + "set backupcopy=yes\n"}),
    Vim("vim_which_keeps_everything", ("vim",), {".vimrc": VIMRC + "set backup writebackup undofile swapfile\n"},
        keeps=("{0}~", ".{0}.un~")),
    Nano("nano_which_keeps_a_backup", ("nano", "--backup"), keeps=("{0}~",)),
    Emacs("emacs_which_saves_by_itself", ("emacs", "-nw"),
          {".emacs.d/early-init.el": EMACS_INIT + "(setq auto-save-interval 20)\n"}, keeps=("{0}~",)),
)


def rule(name: str) -> list[str]:
    return [f"rule {name} {{", "condition: filesize > 1", "}"]


def text_of(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def another_second() -> None:
    """Editors compare times, which the mount has in seconds."""
    now = int(time.time())
    until(lambda: time.time() >= now + 1, 2, "the next second")


def hunts_sent(bench: Bench) -> list[str]:
    return [call.json["yara_rule"] for call in bench.proxy.calls("hunt")]


def beside(bench: Bench, name: str) -> set[str]:
    """Scratch can be opened, though it is not listed."""
    names = {pattern.format(name) for pattern in BESIDE}
    return {beside for beside in names if (bench.root / "hunts" / beside).exists()}


def a_new_rule_is_one_hunt_and_a_change_is_a_draft(bench: Bench, editor: Editor) -> None:
    path = "hunts/wiper.yar"
    lines = rule("wiper")
    with editor.open(bench, path) as terminal:
        editor.begin(terminal, [])
        editor.add(terminal, [], lines)
        same(hunts_sent(bench), [], "before it is saved")
        editor.save(terminal, lines)
        same(hunts_sent(bench), [text_of(lines)])
        editor.quit(terminal)
        same(terminal.wait(), 0)
    same(bench.proxy.paid(), ["hunt"])

    with editor.open(bench, path) as terminal:
        editor.begin(terminal, lines)
        for change in ("/* once */", "/* twice */"):
            editor.add(terminal, lines, [change])
            lines.append(change)
            editor.save(terminal, lines)
            same(bench.read(path), text_of(lines))
        editor.quit(terminal)
        same(terminal.wait(), 0)
    same(bench.read(path), text_of(lines))
    same(bench.read("hunts/wiper/rule.yar"), text_of(rule("wiper")), "what was sent")
    same(bench.read("hunts/wiper/status").split()[0], "draft")
    same(bench.proxy.paid(), ["hunt"])

    same(sorted(os.listdir(bench.root / "hunts")), [".defaults", "wiper", "wiper.yar"])
    same(beside(bench, "wiper.yar"), {kept.format("wiper.yar") for kept in editor.keeps})


def a_mistake_is_shown_and_its_correction_is_sent_once(bench: Bench, editor: Editor) -> None:
    *half, last = rule("wiper")
    with editor.open(bench, "hunts/wiper.yar") as terminal:
        editor.begin(terminal, [])
        editor.add(terminal, [], half)
        editor.save_in_vain(terminal)
        assert "syntax error" in bench.read("hunts/wiper/error")
        editor.add(terminal, half, [last])
        editor.save_again(terminal, [*half, last], is_new=True)
        same(hunts_sent(bench), [text_of(rule("wiper"))])
        assert not (bench.hunt("wiper") / "error").exists()
        editor.quit(terminal)
        same(terminal.wait(), editor.failed)
    same(bench.proxy.paid(), ["hunt"])


def a_draft_with_a_mistake_can_be_corrected(bench: Bench, editor: Editor) -> None:
    lines = rule("wiper")
    bench.submit("wiper", text_of(lines))
    another_second()
    with editor.open(bench, "hunts/wiper.yar") as terminal:
        editor.begin(terminal, lines)
        editor.add(terminal, lines, ["private rule more {"])
        lines.append("private rule more {")
        editor.save_in_vain(terminal)
        editor.add(terminal, lines, ["condition: true }"])
        lines.append("condition: true }")
        editor.save_again(terminal, lines, is_new=False)
        editor.quit(terminal)
        same(terminal.wait(), editor.failed)
    same(bench.read("hunts/wiper.yar"), text_of(lines))
    same(bench.proxy.paid(), ["hunt"])


def a_slow_service_is_not_taken_for_another_writer(bench: Bench, editor: Editor) -> None:
    bench.proxy.fail("hunt", delay(SLOW_S))
    lines = rule("wiper")
    with editor.open(bench, "hunts/wiper.yar") as terminal:
        editor.begin(terminal, [])
        editor.add(terminal, [], lines)
        editor.save(terminal, lines)
        editor.add(terminal, lines, ["/* once */"])
        lines.append("/* once */")
        editor.save(terminal, lines)
        editor.quit(terminal)
        same(terminal.wait(), 0)
    same(bench.read("hunts/wiper.yar"), text_of(lines))
    same(hunts_sent(bench), [text_of(rule("wiper"))])


def a_lost_terminal_sends_nothing_and_loses_nothing(bench: Bench, editor: Editor) -> None:
    with editor.open(bench, "hunts/wiper.yar") as terminal:
        editor.begin(terminal, [])
        editor.add(terminal, [], rule("wiper"))
    rescued = bench.root / "hunts" / editor.rescues.format("wiper.yar")
    until(lambda: rescued.exists() and b"condition: filesize > 1" in rescued.read_bytes(), STOP_MAX_S,
          f"{rescued.name} has what was typed")
    same(os.listdir(bench.root / "hunts"), [".defaults"])
    same(bench.proxy.paid(), [])


def defaults_can_be_edited(bench: Bench, editor: Editor) -> None:
    lines = bench.read("hunts/.defaults").splitlines()
    with editor.open(bench, "hunts/.defaults") as terminal:
        editor.begin(terminal, lines)
        editor.add(terminal, lines, ["max_size=800KB"])
        lines.append("max_size=800KB")
        editor.save(terminal, lines)
        editor.quit(terminal)
        same(terminal.wait(), 0)
    same(bench.read("hunts/.defaults"), text_of(lines))
    same(beside(bench, ".defaults"), {kept.format(".defaults") for kept in editor.keeps})
    bench.submit("wiper", text_of(rule("wiper")))
    same([call.json["options"]["max_size"] for call in bench.proxy.calls("hunt")], [str(800 << 10)])


PROMISES = {
    a_new_rule_is_one_hunt_and_a_change_is_a_draft: (*ORDINARY, *CONFIGURED),
    a_mistake_is_shown_and_its_correction_is_sent_once: ORDINARY,
    a_draft_with_a_mistake_can_be_corrected: (*ORDINARY, *CONFIGURED),
    a_slow_service_is_not_taken_for_another_writer: ORDINARY,
    a_lost_terminal_sends_nothing_and_loses_nothing: [editor for editor in ORDINARY if editor.rescues],
    defaults_can_be_edited: ORDINARY,
}
for promise, editors in PROMISES.items():
    for one in editors:
        test = functools.partial(promise, editor=one)
        test.__name__ = f"{promise.__name__}_in_{one.name}"
        claim(test)


if __name__ == "__main__":
    main()
