#!/usr/bin/env python3
"""A copy of ganglia-web 3.7.5 (as in Debian 12) that runs under PHP 8.

    mend_ganglia_web.py [SOURCE] TARGET

SOURCE is /usr/share/ganglia-webfrontend unless given. TARGET must not exist yet; where a mend
finds nothing to mend, the copy is of another version and is removed again.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

PACKAGED = "/usr/share/ganglia-webfrontend"

MENDS: tuple[tuple[str, str, str, str], ...] = (
    (
        "each() left PHP with 8.0",
        "dwoo/Dwoo/Compiler.php dwoo/Dwoo/Core.php dwoo/Dwoo/Data.php dwoo/plugins/builtin/blocks/if.php "
        "dwoo/plugins/builtin/blocks/textformat.php dwoo/plugins/builtin/functions/capitalize.php physical_view.php",
        r"while \(list\((\$\w+)?,\s*(\$\w+)?\)\s*=\s*each\((\$[\w\[\]]+)\)\)",
        "EACH",
    ),
    (
        "an array key without quotes was taken for its own name until 8.0",
        "cluster_view.php stacked.php mobile_helper.php",
        r"(?<=\$cluster\[)LOCALTIME(?=\],)|(?<=\$metric_attributes\[)VAL(?=\])|(?<=\$_GET\[)[xn](?=\])",
        r"'\g<0>'",
    ),
    (
        "an error handler gets four arguments since 8.0",
        "lib/common_api.php",
        r"(?<=\$line, )\$context(?=\))",
        "$context = null",
    ),
    (
        "in_array() takes no null for an empty list since 8.0",
        "ganglia.php get_ganglia.php",
        r"(?<=in_array\(\$context, )(?=\$SKIP)",
        "(array) ",
    ),
    (
        "the keys of an argument list name parameters since 8.0; here they name parts of a template",
        "dwoo/Dwoo/Compiler.php",
        r"(?<=call_user_func_array\(\$funcCompiler, )\$params(?=\))",
        "array_values($params)",
    ),
    (
        "a call with too few arguments is an error since 7.1",
        "decompose_graph.php",
        r"(?<=\$user\['mreg'\])(?=\);)",
        ", 'show', false",
    ),
    (
        "an aggregate graph that matches no host or no metric yet: lists that are not there cannot be sorted since 8.0",
        "functions.php",
        r"(?<!\w)k?sort\((\$(?:host|metric)_matches)\);",
        r"if (isset(\1)) \g<0>",
    ),
    (
        "nor searched",
        "functions.php",
        r"(?<=in_array\(\$host_name, )(?=\$index_array)",
        "(array) ",
    ),
    (
        "rrdtool says -nan where there is no value; a text is no divisor since 8.0",
        "functions.php",
        r"(?<=\$avg = )(?=\$out\[1\])",
        "(float) ",
    ),
    (
        "nor does number_format() take one: a host that is down has no value",
        "graph.d/metric.php",
        r"(?<=number_format\()(?=\$value)",
        "(float) ",
    ),
    (
        "count() takes no null since 8.0: a grid of nothing but grids has no clusters",
        "meta_view.php",
        r"(?<=count\()\$names(?=\))",
        "$names ?? []",
    ),
    (
        "floor() of the word now is an error since 8.0",
        "graph.php",
        r'(?<=if \(\$range == "month")(?=\))',
        ' && is_numeric($rrdtool_graph["end"])',
    ),
    (
        "escapes the quotes of its own finished command, so that nothing is drawn, under whatever PHP",
        "stacked.php",
        r"(?m)^\$command = sanitize\(\$command\);",
        "",
    ),
)
"""What is wrong, in which files, a pattern of the wrong text, and what takes its place."""


def _loop(found: re.Match[str]) -> str:
    """The same loop without each(): it goes on from where the array's own pointer stands, and so do calls of next()."""
    key, value, array = found.groups()
    at = f"({key} = key({array}))" if key else f"key({array})"
    element = f"{value} = current({array}), " if value else ""
    return f"while ({at} !== null && [{element}next({array})])"


def mend(source: Path, target: Path) -> None:
    """Copy and mend. Raises ValueError where there is nothing to mend."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("test"))
    try:
        for why, names, pattern, replacement in MENDS:
            for name in names.split():
                file = target / name
                text = file.read_text("latin-1")
                mended, count = re.subn(pattern, _loop if replacement == "EACH" else replacement, text)
                if not count:
                    raise ValueError(f"{name} is not that of ganglia-web 3.7.5 ({why})")
                file.write_text(mended, "latin-1")
    except BaseException:
        shutil.rmtree(target)
        raise


def main(arguments: list[str]) -> int:
    """Run the program; the exit status is the result."""
    if len(arguments) not in (1, 2) or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    *source, target = arguments
    try:
        mend(Path(source[0] if source else PACKAGED), Path(target))
    except (OSError, ValueError) as error:
        print(f"mend_ganglia_web.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
