"""Configs with one value changed, for the tests of what is refused."""


def changed(given, key, value):
    """A ConfigDict as nested dicts, with another value at a dotted key."""
    owner = given = given.to_dict()
    *groups, last = key.split(".")
    for group in groups:
        owner = owner[group]
    owner[last] = value
    return given
