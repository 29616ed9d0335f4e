"""A client as one would write it with python3-requests: each sample is streamed to a file, hashed, verified and synced.

    client.py URL TOKEN_FILE DIRECTORY SHA256...
"""

import hashlib
import os
import sys
from pathlib import Path

import requests

url, token, directory, *names = sys.argv[1:]
session = requests.Session()
session.headers["Authorization"] = f"Bearer {Path(token).read_text()}"
for name in names:
    digest = hashlib.sha256()
    with (session.get(f"{url}/malquery/entities/download-files/v1", params={"ids": name}, stream=True) as answer,
          (Path(directory) / name).open("wb") as out):
        answer.raise_for_status()
        for piece in answer.iter_content(64 * 1024):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != name:
        sys.exit(f"{name}: wrong bytes")
