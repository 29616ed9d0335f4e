"""Headers, sections and imports of PE files: sections.py FILE..."""

import sys

import pefile

for path in sys.argv[1:]:
    with pefile.PE(path) as pe:
        print(path, f"{pe.FILE_HEADER.Machine:#x}", pe.generate_checksum(), pe.get_imphash())
        for section in pe.sections:
            print(" ", section.Name, section.SizeOfRawData, section.get_hash_sha256(), f"{section.get_entropy():.3f}")
        for library in getattr(pe, "DIRECTORY_ENTRY_IMPORT", ()):
            print(" ", library.dll, [symbol.name for symbol in library.imports])
