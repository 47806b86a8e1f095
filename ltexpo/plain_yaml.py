"""Text of a YAML, from whoever wrote it → plain values; whatever else it tries to be is refused with its line."""

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:  # libyaml's parser, where PyYAML was built with it, is several times as fast
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MOST_VALUES = 2_000_000
"""Values that a text may stand for once its aliases are written out: ten aliases of ten aliases … fill any memory."""
DEEPEST = 50
"""Blocks within blocks."""
MOST_BITS = 1024
"""Of a whole number; 64 hold anything that is counted."""


def read_yaml(text: str) -> Any:
    """The one document of `text`; raises `yaml.YAMLError`, whatever is wrong with it."""
    try:
        loader = _PlainLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _refuse_bombs(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as error:
        raise yaml.YAMLError(f"blocks stand more than {DEEPEST} deep in one another") from error


class _PlainLoader(_SafeLoader):
    """The safe loader, which lets a key stand only once: PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _refusal(node, "expected 'name: value' lines")
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal(key, "a name is a word, not a list or a block")
            if key.value in seen:
                raise _refusal(key, f"'{key.value[:80]}' stands there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        # '2024-13-45' is no date and '!!bool maybe' no truth: PyYAML's constructors fail at these in many ways.
        except Exception as error:
            kind = node.tag.rsplit(":", 1)[-1]
            raise _refusal(node, f"{str(node.value)[:80]!r} is no {kind}; for a text put it in quotes") from error
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise _refusal(node, f"a whole number of {value.bit_length():,} bits is too large")
        return value


def _refusal(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _refuse_bombs(root: yaml.Node) -> None:
    """Refuse aliases that make the document larger than memory, or endless, before anything is made of them."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        key = id(node)
        if key in open_nodes:
            raise _refusal(node, "an alias stands within what it names")
        if depth > DEEPEST:
            raise _refusal(node, f"blocks stand more than {DEEPEST} deep in one another")
        if key not in sizes:
            open_nodes.add(key)
            parts = node.value
            inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
            sizes[key] = 1 + sum(size(part, depth + 1) for part in inner)
            open_nodes.remove(key)
            if sizes[key] > MOST_VALUES:
                raise _refusal(node, f"its aliases stand for more than {MOST_VALUES:,} values")
        return sizes[key]

    size(root, 0)
