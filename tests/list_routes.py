"""Print every route of the site, `METHOD path` a line: `python -m tests.list_routes FOLDER`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.served import build


def routes_of(routes: Any, prefix: str = "") -> Iterator[str]:
    """The routes, those of mounted apps with the place they are mounted at, and those of included routers."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from routes_of(included.routes, prefix)
        elif nested := getattr(route, "routes", None):
            yield from routes_of(nested, prefix + route.path)
        else:
            yield from (
                f"{method} {prefix}{route.path}" for method in sorted(getattr(route, "methods", None) or ["GET"])
            )


if __name__ == "__main__":
    app, rank_room = build(Path(sys.argv[1]))
    print("\n".join(routes_of(app.routes)))
    rank_room.close()
