"""The twenty most frequent words of a file, counted the plain way: what word-count must agree with."""

import collections
import re
import sys

with open(sys.argv[1], "rb") as file:
    words = re.findall(rb"[^ \t\n\v\f\r]+", file.read())
counts = sorted(collections.Counter(words).items(), key=lambda item: (-item[1], item[0]))
for word, count in counts[:20]:
    sys.stdout.buffer.write(b"%d\t%s\n" % (count, word))
