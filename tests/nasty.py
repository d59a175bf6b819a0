"""Names of folders that have been the end of programs."""

import re

NASTY = {
    "brackets": "x [lr=1]",
    "wildcards": "what? * all",
    "backslash": "a\\b\\[c",
    "dollars": "$100_vs_$50",
    "underscore": "_photos",
    "quotes": 'it\'s "so" `x`',
    "new line": "two\nlines\ttab",
    "comma": 'a, b; "c"',
    "markup": "<b>&amp;|%s{0}",
    "unicode": "照片 \u231a é",
    "200 characters": "name " * 40,
}
"""What is wrong with a name -> such a name, in UTF-8."""

ALL = "_x [lr=1] what? * a\\b $1_v_$2 'q\" two\nlines, <b>|%s{0} 照片"
"""All of that in one name."""

NO_PATTERN = re.sub(r"[*?\[\]\\]", "", ALL)
"""The same without what TensorFlow takes for patterns, which such a name reaches as it is."""

NOT_UTF_8 = "caf\udce9"
"""As Python has a name of the bytes `caf` and E9."""
