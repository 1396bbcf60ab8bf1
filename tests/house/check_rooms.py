#!/usr/bin/env python3
"""Fails when a room includes a room that its link line does not name, or LibTorch or OpenCV where they do not belong.

The allowed rooms are read from each src/<room>/CMakeLists.txt (KNOWS ...), so the build and this test share one list.
Usage: check_rooms.py SOURCE_DIR
"""
import pathlib
import re
import sys

NO_TORCH = {"base", "text"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


def known_rooms(root):
    knows = {}
    for lists in sorted(root.glob("src/*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", lists.read_text())
        match = re.search(r"capture_room\(\s*(\w+)(?:\s+KNOWS\s+([\w\s]*?))?(?:\s+USES\b[^)]*)?\)", text)
        if not match:
            sys.exit(f"{lists}: no capture_room(...) call that this test understands")
        knows[match.group(1)] = set((match.group(2) or "").split())
    return knows


def violations(root, knows):
    for room, allowed in knows.items():
        for path in [*root.glob(f"include/capture/{room}/**/*.h"), *root.glob(f"src/{room}/**/*")]:
            if path.suffix not in {".h", ".cpp"}:
                continue
            for include in INCLUDE.findall(path.read_text()):
                parts = include.split("/")
                name = path.relative_to(root)
                if parts[0] == "capture" and parts[1] in knows and parts[1] != room and parts[1] not in allowed:
                    yield f"{name} includes {include}, but {room} knows only: {', '.join(sorted(allowed)) or 'nothing'}"
                if parts[0] == "opencv2" and room != "vision":
                    yield f"{name} includes {include}; only the vision room may use OpenCV"
                if parts[0] == "opencv2" and path.suffix == ".h" and "include" in name.parts[:1]:
                    yield f"{name} includes {include}; OpenCV stays out of public headers"
                if parts[0] in {"torch", "ATen", "c10"} and room in NO_TORCH:
                    yield f"{name} includes {include}; {room} does without LibTorch"
                if "c10d" in include and (room != "distributed" or path.suffix == ".h"):
                    yield f"{name} includes {include}; c10d stays in the bodies of the distributed room"


def main():
    root = pathlib.Path(sys.argv[1])
    knows = known_rooms(root)
    if len(knows) < 11:
        sys.exit(f"expected 11 rooms under {root / 'src'}, found {len(knows)}")
    found = list(violations(root, knows))
    print("\n".join(found) or f"{len(knows)} rooms, each includes only what it may know")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
