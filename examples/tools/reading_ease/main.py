"""Flesch reading ease (R. Flesch, 1948) of the argument `text`, which arrives as JSON on standard input."""

import json
import re
import sys

text = json.load(sys.stdin)["text"]
words = re.findall(r"[A-Za-z']+", text)
sentences = max(1, len(re.findall(r"[.!?](?=\s|$)", text)))
syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word.lower()))) for word in words)
ease = 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words) if words else 100.0
print(json.dumps({"words": len(words), "sentences": sentences, "reading_ease": round(ease, 1)}))
