"""What goes over the wire is the strictest form that the service documents."""

import os

from harness import ELF_FILES, Bench, claim, main, same


def sent(bench: Bench) -> dict:
    return bench.proxy.calls("hunt")[-1].json


@claim
def a_plain_hunt_sends_the_text_and_the_default_limit(bench: Bench) -> None:
    bench.submit("elf", ELF_FILES)
    same(sent(bench), {"options": {"limit": 1000}, "yara_rule": ELF_FILES})
    headers = bench.proxy.calls("hunt")[0].headers
    same(headers["content-type"].split(";")[0], "application/json")
    assert headers["authorization"].lower().startswith("bearer "), headers
    assert headers["user-agent"].startswith("malqueryfs/"), headers


@claim
def options_in_comments_are_sent_in_their_strictest_spelling(bench: Bench) -> None:
    rule = "// malquery: limit=5 filter_filetypes=ELF64 max_size=800KB min_date=2001-02-03\n" + ELF_FILES
    bench.submit("elf", rule)
    options = {"limit": 5, "filter_filetypes": ["elf64"], "max_size": "819200", "min_date": "2001/02/03"}
    same(sent(bench), {"options": options, "yara_rule": rule})


@claim
def every_spelling_of_sizes_dates_and_lists_is_understood(bench: Bench) -> None:
    rule = ("// malquery: filter_filetypes=pe32,PE64 min_size=1.5kb\n"
            "// malquery: max_size=8mb max_date=2030/12/31 submitted_by_customer=true\n" + ELF_FILES)
    bench.submit("elf", rule)
    same(sent(bench)["options"], {
        "limit": 1000, "filter_filetypes": ["pe32", "pe64"], "min_size": "1536", "max_size": "8388608",
        "max_date": "2030/12/31", "submitted_by_customer": True,
    })


@claim
def filters_reach_the_results(bench: Bench) -> None:
    bench.job("elf", "// malquery: filter_filetypes=ELF64 limit=2\nrule all_of_them { condition: filesize >= 0 }\n")
    hashes = bench.read("hunts/elf/hashes.txt").split()
    same(len(hashes), 2, "results")
    assert all(bench.zoo.by_hash(one).content.startswith(b"\x7fELF") for one in hashes)
    assert "limited" in bench.read("hunts/elf/status").split(), bench.read("hunts/elf/status")


@claim
def a_filter_of_fields_always_includes_the_hash(bench: Bench) -> None:
    bench.submit("elf", ELF_FILES)
    for call in bench.proxy.calls("hunt", "exact"):
        assert "sha256" in call.json["options"].get("filter_meta", ["sha256"]), call


@claim
def hashes_are_sent_in_lower_case_with_the_key_repeated(bench: Bench) -> None:
    hashes = [bench.zoo[name].sha256 for name in ("pe32", "pe64", "pdf")]
    bench.run("stat " + " ".join(f"samples/{one.upper()}" for one in hashes))
    asked = bench.proxy.calls("metadata")
    same(sorted(one for call in asked for one in call.ids), sorted(hashes), "ids asked for")
    for call in asked:
        same(call.query, "&".join(f"ids={one}" for one in call.ids), "query")
    same(bench.proxy.paid(), [])


@claim
def polls_and_downloads_name_one_id(bench: Bench) -> None:
    hunt = bench.job("elf", ELF_FILES)
    for name in os.listdir(hunt / "samples"):
        (hunt / "samples" / name).read_bytes()
    calls = bench.proxy.calls("requests", "download")
    assert len(calls) >= 5, calls
    assert all(len(call.ids) == 1 and call.query == f"ids={call.ids[0]}" for call in calls), calls


if __name__ == "__main__":
    main()
