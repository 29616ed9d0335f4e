"""searches/exact and searches/fuzzy: directories, pattern files, bodies, options, and what each costs."""

from __future__ import annotations

import json
import os

from harness import JOB_MAX_S, Bench, claim, errno_of, main, same


def finished(bench: Bench, path: str) -> str:
    line = bench.run(f"cat '{path}/wait'", seconds=JOB_MAX_S).stdout.splitlines()[-1]
    assert line.startswith("done"), f"{path}/wait ends with {line!r}"
    return line


def bodies(bench: Bench, route: str) -> list[dict]:
    return [call.json for call in bench.proxy.calls(route)]


def found(bench: Bench, path: str) -> set[str]:
    return set(os.listdir(bench.root / path / "samples"))


@claim
def mkdir_is_an_exact_search(bench: Bench) -> None:
    bench.run("mkdir 'searches/exact/ascii:dark and stormy'")
    finished(bench, "searches/exact/ascii:dark and stormy")
    same(bodies(bench, "exact"),
         [{"options": {"limit": 1000}, "patterns": [{"type": "ascii", "value": "dark and stormy"}]}])
    same(found(bench, "searches/exact/ascii:dark and stormy"), {bench.zoo["text"].sha256})
    same(json.loads(bench.read("searches/exact/ascii:dark and stormy/query.json")), bodies(bench, "exact")[0])
    same(sorted(os.listdir(bench.root / "searches/exact")), [".defaults", "ascii:dark and stormy"])
    assert not (bench.root / "searches/exact/ascii:dark and stormy/rule.yar").exists()
    same(bench.proxy.paid(), ["exact"])


@claim
def names_have_escapes_and_kinds(bench: Bench) -> None:
    for name, kind, value in (("hex:7f454c46", "hex", "7f454c46"), ("hex:7F 45 4C 46 02", "hex", "7f454c4602"),
                              ("wide:kernel32%2Edll", "wide", "kernel32.dll"), ("ascii:a%2Fb%25c", "ascii", "a/b%c")):
        (bench.root / "searches/exact" / name).mkdir()
        same(bodies(bench, "exact")[-1]["patterns"], [{"type": kind, "value": value}], name)
        finished(bench, f"searches/exact/{name}")
    same(found(bench, "searches/exact/hex:7f454c46") >= {bench.zoo["true"].sha256}, True)
    same(len(bench.proxy.paid()), 4)


@claim
def names_that_say_nothing_are_einval_and_leave_nothing(bench: Bench) -> None:
    for where in ("exact", "fuzzy"):
        for name in ("trickbot", "ascii:", "ascii:%zz", "ascii:100%", "ascii:%00abc", "hex:xyz", "hex:abc", "hex:",
                     "Ascii:trickbot", "utf8:trickbot", "wide:"):
            same(errno_of(os.mkdir, bench.root / "searches" / where / name), "EINVAL", name)
        same(errno_of(os.mkdir, bench.root / "searches" / where / ("ascii:" + "x" * 200)), "ENAMETOOLONG")
        same(os.listdir(bench.root / "searches" / where), [".defaults"])
    same(bench.proxy.paid(), [])


@claim
def making_it_twice_is_eexist_and_removing_it_forgets_it(bench: Bench) -> None:
    path = bench.root / "searches/exact/ascii:stormy"
    path.mkdir()
    same(errno_of(path.mkdir), "EEXIST")
    finished(bench, "searches/exact/ascii:stormy")
    reqid = bench.read("searches/exact/ascii:stormy/id").strip()
    path.rmdir()
    same(os.listdir(bench.root / "searches/exact"), [".defaults"])
    same(os.listdir(bench.root / "requests"), [reqid])
    path.mkdir()
    same(bench.read("searches/exact/ascii:stormy/id").strip(), reqid, "the same search is the same request")
    same(bench.proxy.paid(), ["exact"])


@claim
def one_search_in_three_spellings_is_one_request(bench: Bench) -> None:
    (bench.root / "searches/exact/ascii:stormy").mkdir()
    (bench.root / "searches/exact/lines.txt").write_text("# what we look for\r\nascii: stormy\r\n")
    (bench.root / "searches/exact/body.json").write_text(
        '{"patterns": [{"type": "ascii", "value": "stormy"}], "options": {"limit": 1000}}')
    ids = {bench.read(f"searches/exact/{name}/id") for name in ("ascii:stormy", "lines", "body")}
    same(len(ids), 1)
    same(bench.proxy.paid(), ["exact"])


@claim
def pattern_files_have_options_and_several_patterns(bench: Bench) -> None:
    text = ("# malquery: limit=5 filter_filetypes=text max_size=1MB\n\n"
            "ascii: dark and stormy\nhex: 6e 69 67 68 74\nwide: unlikely\n")
    bench.run(f"cat > searches/exact/several.txt <<'EOF'\n{text}EOF")
    finished(bench, "searches/exact/several")
    same(bodies(bench, "exact"),
         [{"options": {"limit": 5, "filter_filetypes": ["text"], "max_size": "1048576"},
           "patterns": [{"type": "ascii", "value": "dark and stormy"}, {"type": "hex", "value": "6e69676874"},
                        {"type": "wide", "value": "unlikely"}]}])
    same(bench.read("searches/exact/several.txt"), text, "reads back exactly")
    same(bench.read("searches/exact/several/options"), "limit=5\nfilter_filetypes=text\nmax_size=1048576\n")


@claim
def bad_pattern_files_say_the_line_and_cost_nothing(bench: Bench) -> None:
    for name, text, says in (("a.txt", "ascii: fine\nutf8: what\n", "line 2"), ("b.txt", "# nothing\n", "pattern"),
                             ("c.txt", "hex: 1\n", "line 1"), ("d.txt", "# malquery: limit=0\nascii: fine\n", "line 1"),
                             ("e.json", '{"patterns": []}', "pattern"), ("f.json", "{", ""),
                             ("g.json", '{"patterns": [{"type": "ascii", "value": "fine"}], "limit": 5}', "limit"),
                             ("h.json", '{"patterns": [{"type": "ascii", "value": "fine"}], "options": {"limit": "x"}}',
                              "limit")):
        same(errno_of((bench.root / "searches/exact" / name).write_text, text), "EINVAL", name)
        base = name.split(".")[0]
        same(bench.read(f"searches/exact/{base}/status").split()[0], "rejected", name)
        assert says in bench.read(f"searches/exact/{base}/error"), bench.read(f"searches/exact/{base}/error")
    same(bench.proxy.paid(), [])
    (bench.root / "searches/exact/a.txt").write_text("ascii: fine words\n")
    same(len(bench.proxy.calls("exact")), 1, "the next valid text is sent as if it were the first")


@claim
def a_fuzzy_search_is_answered_at_once_and_free(bench: Bench) -> None:
    (bench.root / "searches/fuzzy/ascii:dark and stormy").mkdir()
    status = bench.read("searches/fuzzy/ascii:dark and stormy/status")
    assert status.startswith("done"), status
    same(bodies(bench, "fuzzy"),
         [{"options": {"limit": 1000}, "patterns": [{"type": "ascii", "value": "dark and stormy"}]}])
    assert bench.zoo["text"].sha256 in found(bench, "searches/fuzzy/ascii:dark and stormy")
    same(len(bench.proxy.calls("requests")), 0, "nothing to poll")
    for _ in range(2):
        reqid = bench.read("searches/fuzzy/ascii:dark and stormy/id").strip()
        assert bench.zoo["text"].sha256 in found(bench, f"requests/{reqid}")
        bench.remount()
    bench.run(f"rmdir requests/{reqid}")
    same(errno_of(os.stat, bench.root / "requests" / reqid / "status"), "ENOENT", "ours: nobody else knows it")
    same(bench.proxy.paid(), [])


@claim
def a_fuzzy_search_refuses_filters(bench: Bench) -> None:
    for text in ("# malquery: filter_filetypes=pe32\nascii: stormy\n", "# malquery: max_size=1MB\nascii: stormy\n",
                 "# malquery: min_date=2024-01-01\nascii: stormy\n"):
        same(errno_of((bench.root / "searches/fuzzy/x.txt").write_text, text), "EINVAL", text)
        assert "filter" in bench.read("searches/fuzzy/x/error")
    same(errno_of((bench.root / "searches/fuzzy/.defaults").write_text, "max_size=1MB\n"), "EINVAL")
    same(bodies(bench, "fuzzy"), [])


@claim
def a_changed_fuzzy_search_is_sent_since_it_is_free(bench: Bench) -> None:
    for value in ("dark", "stormy"):
        (bench.root / "searches/fuzzy/x.txt").write_text(f"ascii: {value}\n")
    same([body["patterns"][0]["value"] for body in bodies(bench, "fuzzy")], ["dark", "stormy"])
    same(len(bench.read("searches/fuzzy/x/runs.tsv").splitlines()), 3)
    (bench.root / "searches/exact/x.txt").write_text("ascii: dark\n")
    (bench.root / "searches/exact/x.txt").write_text("ascii: stormy\n")
    same(bench.read("searches/exact/x/status").split()[0], "draft")
    same(bench.proxy.paid(), ["exact"])


@claim
def defaults_count_for_each_kind_of_its_own(bench: Bench) -> None:
    bench.run("echo limit=3 > searches/exact/.defaults; echo limit=4 > searches/fuzzy/.defaults")
    for where in ("exact", "fuzzy"):
        (bench.root / "searches" / where / "ascii:stormy").mkdir()
    same(bodies(bench, "exact")[0]["options"], {"limit": 3})
    same(bodies(bench, "fuzzy")[0]["options"], {"limit": 4})
    same(bench.read("hunts/.defaults"), "limit=1000\n")


@claim(engine=["--hunt-limit", "0"])
def a_used_up_quota_is_edquot_from_mkdir(bench: Bench) -> None:
    same(errno_of(os.mkdir, bench.root / "searches/exact/ascii:stormy"), "EDQUOT")
    same(os.listdir(bench.root / "searches/exact"), [".defaults"])
    assert "EDQUOT" in bench.read("events")
    (bench.root / "searches/fuzzy/ascii:stormy").mkdir()


@claim
def offline_it_is_queued_and_sent_later(bench: Bench) -> None:
    bench.proxy.down()
    (bench.root / "searches/exact/ascii:stormy").mkdir()
    same(bench.read("searches/exact/ascii:stormy/status").split()[0], "queued")
    bench.proxy.up()
    bench.remount()
    finished(bench, "searches/exact/ascii:stormy")
    same(bench.proxy.paid(), ["exact"])


if __name__ == "__main__":
    main()
