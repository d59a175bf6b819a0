"""Options of typed configs: dataclass fields with the values they may take, and their checks.

A config is a tree of frozen dataclasses (`config.py`, `rotated/config.py`). This module builds one
from nested mappings, says in one sentence what is wrong with them, and tells which keys a trained
model depends on. It imports nothing heavy.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import math
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tfp_ood.errors import UserError


class ConfigError(UserError, ValueError):
    """A wrong value, in one sentence: the key, what was given and what is valid."""

    def __init__(self, key: str, *given_and_valid: Any):
        # ml_collections raises what a config file raised again, with all it has to say as the
        # only argument.
        message = key
        if given_and_valid:
            given, valid = given_and_valid
            message = f"config.{key}: got {given!r}; valid is {valid}."
        super().__init__(message)


class UnknownKeyError(ConfigError):
    """A key that does not exist."""

    def __init__(self, key: str, names: Iterable[str], part: str):
        valid = one_of(names, part)
        UserError.__init__(self, f"config.{key}: there is no such key; valid is {valid}.")


def option(
    default: Any,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    trained: bool = True,
    added: bool = False,
) -> Any:
    """A dataclass field with the values it may take.

    Args:
      default: value, or a whole group.
      choices: valid texts.
      low: smallest number, itself valid.
      high: largest number, itself valid.
      trained: whether a trained model depends on it; what does not may change after training.
      added: whether runs were trained before there was this key. While it has its default, it is
        then no fact of a training, so that such runs go on.
    """
    metadata = {"choices": choices, "low": low, "high": high, "trained": trained, "added": added}
    return dataclasses.field(default=default, metadata=metadata)


def untrained(cls: type, name: str) -> Any:
    """The field `name` of the dataclass `cls`, for a subclass whose training does not use it."""
    field = _fields(cls)[name]
    return dataclasses.field(default=field.default, metadata={**field.metadata, "trained": False})


def training_facts(config: Any) -> dict[str, Any]:
    """All keys of a config that a trained model depends on, with their values, nested."""
    return _part(config, trained=True)


def unsaid(config: Any) -> dict[str, Any]:
    """The keys that `training_facts` leaves out while they have their default: it, nested."""
    result = {}
    for field in dataclasses.fields(config):
        value, how = getattr(config, field.name), field.metadata
        if not how.get("trained", True):
            continue
        if dataclasses.is_dataclass(value):
            if keys := unsaid(value):
                result[field.name] = keys
        elif how.get("added"):
            result[field.name] = field.default
    return result


def as_trained(config: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config, nested, with the `training_facts` of another one in place of its own;
    without those that the facts leave out."""
    return merged(_part(config, trained=False), still_facts(config, facts))


def still_facts(config: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`training_facts`, as an earlier version may have written them, without the keys that this
    config's training does not depend on any more."""
    return _without(facts, _part(config, trained=False))


def _without(values: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without these keys, group by group."""
    return {
        key: _without(value, keys[key]) if key in keys else value
        for key, value in values.items()
        if key not in keys or (isinstance(value, Mapping) and isinstance(keys[key], Mapping))
    }


def _part(config: Any, trained: bool) -> dict[str, Any]:
    """The keys that a training depends on, or those that it does not depend on."""
    result = {}
    for field in dataclasses.fields(config):
        value, how = getattr(config, field.name), field.metadata
        is_group, is_trained = dataclasses.is_dataclass(value), how.get("trained", True)
        if is_group and is_trained:
            result[field.name] = _part(value, trained)
        elif is_trained == trained and not (how.get("added") and value == field.default):
            result[field.name] = dataclasses.asdict(value) if is_group else value
    return result


def build(cls: type, given: Any, prefix: str, classes: Mapping[str, type] | None = None) -> Any:
    """An instance of the dataclass `cls` from a mapping, recursively.

    Args:
      cls: of the whole config, or of a group.
      given: key -> value, or mapping for a group.
      prefix: dotted path of the group, for messages.
      classes: for groups that come in several kinds, the one that is meant.

    Raises:
      ConfigError: names the first key, type or value that is wrong.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(prefix.rstrip("."), given, "a group of keys")
    hints = typing.get_type_hints(cls)
    fields = _fields(cls)
    for key in given:
        if key not in fields:
            raise UnknownKeyError(f"{prefix}{key}", fields, key)
    values = {}
    for name, value in given.items():
        hint = (classes or {}).get(name, hints[name])
        if dataclasses.is_dataclass(hint):
            values[name] = build(hint, value, f"{prefix}{name}.")
        else:
            values[name] = _check_value(f"{prefix}{name}", value, hint, fields[name].metadata)
    return cls(**values)


def valid_values(root: type, key: str, classes: Mapping[str, type] | None = None) -> str:
    """Words for what `config.<key>` may be, such as "an integer of at least 1".

    Args:
      root: dataclass of the whole config.
      key: dotted.
      classes: as in `build`.

    Raises:
      UnknownKeyError: there is no such key.
    """
    hint, metadata = root, {}
    for part in key.split("."):
        fields = _fields(hint) if dataclasses.is_dataclass(hint) else {}
        if part not in fields:
            raise UnknownKeyError(key, fields, part)
        metadata = fields[part].metadata
        kinds = (classes or {}) if hint is root else {}
        hint = kinds.get(part) or typing.get_type_hints(hint)[part]
    return "a group of keys" if dataclasses.is_dataclass(hint) else _describe(hint, metadata)


def describe(
    root: type, name: str, value: Any, classes: Mapping[str, type] | None = None, tag: str = ""
) -> Iterator[str]:
    """Of the key `name`, or every key of this group: its default, what is valid, and, in lines
    below that, the first sentence of what it means; `tag` stands at the end of the first line."""
    keys, owner = {name: value}, root
    if dataclasses.is_dataclass(value):
        keys = {f"{name}.{key}": getattr(value, key) for key in _fields(value)}
        owner = type(value)
    for key, default in keys.items():
        means = _meaning(owner, key.rpartition(".")[2])
        lines = textwrap.wrap(means, 100, initial_indent=_INDENT, subsequent_indent=_INDENT)
        first = f"{key}={default!r}: {valid_values(root, key, classes)}{tag}"
        yield "\n".join([first, *lines])


_INDENT = 6 * " "
_SENTENCE = re.compile(r".+?\.(?=\s|\Z)", re.DOTALL)


def _meaning(cls: type, name: str) -> str:
    """The first sentence of the docstring of a field, in the class or one that it is made of."""
    docstrings = (_docstrings(one).get(name) for one in cls.__mro__[:-1])
    found = _SENTENCE.match(next(filter(None, docstrings), ""))
    return found[0] if found else ""


@functools.cache
def _docstrings(cls: type) -> dict[str, str]:
    """Texts below the fields of a class; {} where there is no source."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except OSError:
        return {}
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def _fields(cls: Any) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in dataclasses.fields(cls)}


def _check_value(key: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """The value in its declared type, or a ConfigError."""
    if typing.get_origin(hint) is tuple:
        return _check_tuple(key, value, hint)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(key, value, _describe(hint, metadata))
    choices, low, high = (metadata.get(k) for k in ("choices", "low", "high"))
    if choices and value not in choices:
        raise ConfigError(key, value, one_of(choices, value))
    too_low = low is not None and not value >= low  # also true for NaN
    too_high = high is not None and not value <= high
    if too_low or too_high or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(key, value, _describe(hint, metadata))
    return value


def _check_tuple(key: str, value: Any, hint: Any) -> tuple[Any, ...]:
    kinds = typing.get_args(hint)
    right_kind = isinstance(value, tuple | list) and all(type(v) is kinds[0] for v in value)
    if not right_kind or (kinds[-1] is not Ellipsis and len(value) != len(kinds)):
        raise ConfigError(key, value, _describe(hint, {}))
    return tuple(value)


def _describe(hint: Any, metadata: Mapping[str, Any]) -> str:
    """Words for a type with its bounds: "an integer of at least 1"."""
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        number = "any number of" if kinds[-1] is Ellipsis else len(kinds)
        shape = "" if kinds[-1] is Ellipsis else f", as {','.join('abcdefgh'[: len(kinds)])}"
        return f"a tuple of {number} {'integers' if kinds[0] is int else 'texts'}{shape}"
    words = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}[hint]
    low, high = metadata.get("low"), metadata.get("high")
    if metadata.get("choices"):
        return one_of(metadata["choices"])
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    return words if low is None else f"{words} of at least {low}"


def one_of(names: Iterable[str], given: Any = None) -> str:
    """The valid names, with the closest to the given one as a hint."""
    names = list(names)
    close = difflib.get_close_matches(given, names, n=1) if isinstance(given, str) else []
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"one of {', '.join(names)}{hint}"


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested config."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with every key of `changes`, group by group."""
    result = dict(values)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = merged(old, value) if both else value
    return result


def settings(config: Any) -> list[str]:
    """A line for every key with its value; those of another value than the default say that too.

    The default is that of the config's own family of models.
    """
    default = type(config)(**{name: cls() for name, cls in groups(config).items()})
    usual = dict(flat(dataclasses.asdict(default)))
    width = max(map(len, usual))
    return [
        f"  {key:{width}}  {value!r}"
        if value == usual[key]
        else f"* {key:{width}}  {value!r}  (default: {usual[key]!r})"
        for key, value in flat(dataclasses.asdict(config))
    ]


def groups(config: Any) -> dict[str, type]:
    """The class of each group of keys; that of models depends on the family."""
    values = vars(config).items()
    return {name: type(value) for name, value in values if dataclasses.is_dataclass(value)}


def differences(theirs: Any, ours: Any, now: str, prefix: str = "") -> Iterator[str]:
    """How two configs as JSON differ, such as "config.model.num_steps was 8, now 4"."""
    for key in sorted({*theirs, *ours}):
        old, new = theirs.get(key), ours.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, now, f"{prefix}{key}.")
        elif old != new:
            # Models of another family have other keys.
            before, after = (repr(d[key]) if key in d else "absent" for d in (theirs, ours))
            yield f"config.{prefix}{key} was {before}, {now} {after}"
