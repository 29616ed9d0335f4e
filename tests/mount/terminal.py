"""A program on a terminal of its own: tmux is the terminal, keys go in and the screen comes out.

    with Terminal(bench, "vim", "hunts/wiper.yar") as terminal:
        terminal.see("[New]")
        terminal.type(":q\\n")
        same(terminal.wait(), 0)
"""

from __future__ import annotations

import re
import subprocess

from harness import RUN_MAX_S, START_MAX_S, STOP_MAX_S, Bench, processes_of, until

COLUMNS = 120
LINES = 40
# The screen tells how the program ended: tmux 3.3 sometimes loses the status of a pane.
RUN = '"$@"; echo "[exit status $?]"; read -r the_end'
EXIT_STATUS = re.compile(r"\[exit status (\d+)\]")


class Terminal:
    """`command` runs at the root of the mount, in the bench's environment. The end of the `with` block is the end of the
    terminal (SIGHUP), and of all that ran on it."""

    def __init__(self, bench: Bench, *command: str) -> None:
        self._socket = bench.directory / "tmux.sock"
        self._directory = bench.root
        self._environment = bench.environment
        self._command = command
        self._before = set(processes_of(bench.root))
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Terminal:
        arguments = ["setpriv", "--pdeathsig", "TERM", "tmux", "-S", str(self._socket), "-f", "/dev/null", "-D"]
        self._server = subprocess.Popen(arguments, env=self._environment, stdin=subprocess.DEVNULL)
        try:
            until(lambda: self._run("show-options", "-s").returncode == 0, START_MAX_S, "tmux listens")
            self._tmux("set-option", "-g", "default-terminal", "screen")
            self._tmux("set-option", "-g", "status", "off")
            self._tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(self._directory), "--",
                       "/bin/sh", "-c", RUN, "sh", *self._command)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-H", *(f"{byte:x}" for byte in text.replace("\n", "\r").encode()))

    def press(self, *keys: str) -> None:
        """Keys by their names in tmux(1): Enter, Escape, C-x, M-/."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p").rstrip()

    def see(self, text: str) -> None:
        """Waits until `text` is on the screen."""
        self.search(re.compile(re.escape(text)))

    def search(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Waits until `pattern` is on the screen."""
        try:
            return until(lambda: pattern.search(self.screen()), RUN_MAX_S, f"{pattern.pattern!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}, which is:\n{self.screen()}") from None

    def wait(self) -> int:
        """The program's exit status, when it has ended."""
        return int(self.search(EXIT_STATUS)[1])

    # inside

    def _tmux(self, *arguments: str) -> str:
        result = self._run(*arguments)
        assert result.returncode == 0, f"tmux {arguments[0]}: {result.stderr.strip()}"
        return result.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["tmux", "-S", str(self._socket), *arguments], env=self._environment, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_MAX_S)

    def _end(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        until(lambda: set(processes_of(self._directory)) <= self._before, STOP_MAX_S, "what ran on the terminal ends")
