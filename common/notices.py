"""Lines that are said once in a process, however often their cause comes up."""
_said = set()


def say_once(line):
    """Print the line unless it was printed before."""
    if line not in _said:
        _said.add(line)
        print(line, flush=True)
