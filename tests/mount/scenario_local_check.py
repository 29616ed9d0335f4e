"""A rule that cannot work is refused here, by the close() of the program that wrote it, and costs nothing."""

from harness import ELF_FILES, Bench, claim, main, same
from proxy import gateway

SYNTAX_ERROR = "rule broken {\n  condition:\n    filesize and and\n}\n"
TWO_RULES = "rule first { condition: true }\nrule second { condition: false }\n"
INCLUDE = 'include "/etc/passwd"\nrule r { condition: true }\n'
UNKNOWN_OPTION = "// malquery: limits=5\n" + ELF_FILES
BAD_SIZE = "// malquery: max_size=huge\n" + ELF_FILES
NO_RULE = "/* nothing but a comment */\n"


def refuse(bench: Bench, name: str, text: str, *words: str) -> None:
    """`cp` fails, and hunts/NAME says why."""
    result = bench.submit(name, text, ok=False)
    assert result.returncode and "Invalid argument" in result.stderr, result
    same(bench.read(f"hunts/{name}/status").split()[0], "rejected", name)
    error = bench.read(f"hunts/{name}/error")
    assert all(word in error for word in words), f"{name}/error {error!r} without {words}"
    same(error.count("\n"), 1, f"lines of {name}/error")
    same(bench.read(f"hunts/{name}.yar"), text, f"{name}.yar reads back")
    same(bench.proxy.calls("hunt"), [], "hunts sent")


@claim
def a_syntax_error_is_refused_with_its_line(bench: Bench) -> None:
    refuse(bench, "broken", SYNTAX_ERROR, "line 3", "syntax error")


@claim
def more_than_one_rule_is_refused(bench: Bench) -> None:
    refuse(bench, "two", TWO_RULES, "rule")


@claim
def private_rules_are_not_counted(bench: Bench) -> None:
    bench.submit("private", "private rule helper { condition: true }\nrule r { condition: helper }\n")
    same(bench.proxy.paid(), ["hunt"])


@claim
def an_include_is_refused(bench: Bench) -> None:
    refuse(bench, "include", INCLUDE, "include")


@claim
def unknown_options_and_bad_values_are_refused(bench: Bench) -> None:
    refuse(bench, "unknown", UNKNOWN_OPTION, "line 1", "limits")
    refuse(bench, "size", BAD_SIZE, "line 1", "max_size")


@claim
def a_text_without_a_rule_is_refused(bench: Bench) -> None:
    refuse(bench, "none", NO_RULE)


@claim
def a_valid_text_under_the_same_name_is_submitted_as_if_first(bench: Bench) -> None:
    refuse(bench, "broken", SYNTAX_ERROR)
    assert bench.job("broken", ELF_FILES)
    assert not (bench.hunt("broken") / "error").exists(), "the error is gone"
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], [ELF_FILES])


@claim
def a_rejected_rule_is_remembered_across_a_remount(bench: Bench) -> None:
    refuse(bench, "broken", SYNTAX_ERROR)
    error = bench.read("hunts/broken/error")
    bench.remount()
    same(bench.read("hunts/broken/status").split()[0], "rejected")
    same(bench.read("hunts/broken/error"), error)
    same(bench.proxy.paid(), [])


@claim
def what_the_service_refuses_is_invalid_too(bench: Bench) -> None:
    bench.proxy.fail("hunt", gateway(400, "Invalid user input"))
    result = bench.submit("odd", ELF_FILES, ok=False)
    assert result.returncode and "Invalid argument" in result.stderr, result
    same(bench.read("hunts/odd/status").split()[0], "rejected")
    assert "Invalid user input" in bench.read("hunts/odd/error")


if __name__ == "__main__":
    main()
