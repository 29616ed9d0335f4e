"""The streams of OLE documents: streams.py FILE..."""

import hashlib
import sys

import olefile

for path in sys.argv[1:]:
    with olefile.OleFileIO(path) as document:
        for name in document.listdir():
            content = document.openstream(name).read()
            print(path, "/".join(name), len(content), hashlib.sha256(content).hexdigest())
