"""Random damage to the bytes of text files, for tests of what reads them."""

from crossask.errors import CrossaskError

TEXTS = ("\t", ",", ";", " ", '"', "\n", "\r", "\r\n", "\\", "/", "..", "./", "#", "=", "0")
NUMBERS = ("1e999", "nan", "inf", "0,5", "1.0", "01")
UNICODE = ("\x85", "\u2028", "\u200b", "\u00a0", "\uff41", "\U0001f600", "A" * 300000)
BYTES = (b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80")
PIECES = [*(text.encode() for text in (*TEXTS, *NUMBERS, *UNICODE)), *BYTES]


def mutated(content, draw):
    """Returns bytes with one to four random changes."""
    for _ in range(draw.randint(1, 4)):
        lines = content.splitlines(keepends=True)
        at = draw.randint(0, len(content))
        kind = draw.randrange(10)
        if kind == 0 and content:
            content = content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
        elif kind <= 3:
            content = content[:at] + draw.choice(PIECES) + content[at:]
        elif kind == 4:
            content = content[:at] + content[at + draw.randint(1, 30) :]
        elif kind == 5:
            content = content[:at]
        elif kind == 6 and lines:
            lines.insert(draw.randrange(len(lines)), draw.choice(lines))
            content = b"".join(lines)
        elif kind == 7 and lines:
            draw.shuffle(lines)
            content = b"".join(lines[draw.randrange(2) :])
        elif kind == 8:
            old, new = draw.sample((b"\t", b",", b";", b"\n", b" ", b"a", b"bus"), 2)
            content = content.replace(old, new)
        elif kind == 9:
            encoding = draw.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"))
            content = content.decode("utf-8", "replace").encode(encoding)
    return content


def outcomes(attempt, count, what):
    """Calls a function `count` times; returns (times it ended, times it refused its input).

    Args:
      attempt: Function without arguments, which raises CrossaskError for what it refuses.
      count: Number of calls.
      what: What is tried, for the message about another error.
    """
    accepted = 0
    refused = 0
    for number in range(count):
        try:
            attempt()
            accepted += 1
        except CrossaskError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"number {number} {what}") from error
    return accepted, refused
