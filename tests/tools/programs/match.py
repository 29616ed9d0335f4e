"""What each file matches: match.py RULES FILE..."""

import sys

import yara

rules = yara.compile(filepath=sys.argv[1])
for path in sys.argv[2:]:
    for match in rules.match(path):
        print(match.rule, path, *match.tags)
