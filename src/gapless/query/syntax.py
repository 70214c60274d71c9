"""The syntax tree of a query, as DuckDB's own parser writes it (``json_serialize_sql``), with types.

Every kind of node that a query may
be made of is a class here and lists all of its fields: a tree that holds another kind, or another field, does
not decode, and is refused. The kinds and fields are those of DuckDB's serialization of parsed statements
(its ``query_node``, ``tableref``, ``parsed_expression`` and ``result_modifier``), as of DuckDB 2.0.

What changes data or names a file is left out on purpose: INSERT, UPDATE, DELETE and COPY inside a WITH, PIVOT
(its parser writes statements of its own), parameters, AT (VERSION), qualified names of another catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec


class Node(msgspec.Struct, forbid_unknown_fields=True):
    """A part of the tree."""


class QualifiedName(Node):
    path: list[str]


class Plain(Node):
    """A kind of node that stands in the text at a position."""

    alias: str
    query_location: int
    query_location_length: int


# Expressions ------------------------------------------------------------------------------------------------


class Expression(Plain, tag_field="class"):
    type: str


class ColumnRef(Expression, tag="COLUMN_REF"):
    column_names: list[str]


class Literal_(Node):
    kind: str
    text: str


class Constant(Expression, tag="CONSTANT"):
    literal: Literal_


class PositionalReference(Expression, tag="POSITIONAL_REFERENCE"):
    index: int


class Comparison(Expression, tag="COMPARISON"):
    left: AnyExpression
    right: AnyExpression


class Between(Expression, tag="BETWEEN"):
    input: AnyExpression
    lower: AnyExpression
    upper: AnyExpression


class Conjunction(Expression, tag="CONJUNCTION"):
    children: list[AnyExpression]


class Operator(Expression, tag="OPERATOR"):
    children: list[AnyExpression]


class WhenThen(Node):
    when_expr: AnyExpression
    then_expr: AnyExpression


class Case(Expression, tag="CASE"):
    case_checks: list[WhenThen]
    else_expr: AnyExpression


class TypeName(Expression, tag="TYPE"):
    catalog: str
    schema: str
    type_name: str
    children: list[AnyExpression]
    qualified_name: QualifiedName


class Cast(Expression, tag="CAST"):
    child: AnyExpression
    try_cast: bool
    type_expr: TypeName


class Collate(Expression, tag="COLLATE"):
    child: AnyExpression
    collation: str


class Argument(Node):
    name: str
    expression: AnyExpression


class Function(Expression, tag="FUNCTION"):
    function_name: str
    schema: str
    catalog: str
    qualified_name: QualifiedName
    arguments: list[Argument]
    filter: AnyExpression | None
    order_bys: OrderModifier
    distinct: bool
    is_operator: bool
    export_state: Literal[False]


class Window(Expression, tag="WINDOW"):
    function_name: str
    schema: str
    catalog: str
    qualified_name: QualifiedName
    arguments: list[Argument]
    partitions: list[AnyExpression]
    orders: list[Order]
    arg_orders: list[Order]
    filter_expr: AnyExpression | None
    start: str
    end: str
    start_expr: AnyExpression | None
    end_expr: AnyExpression | None
    offset_expr: AnyExpression | None
    default_expr: AnyExpression | None
    exclude_clause: str
    ignore_nulls: bool
    has_ignore_nulls: bool
    distinct: bool


class Lambda(Expression, tag="LAMBDA"):
    lhs: AnyExpression
    expr: AnyExpression
    syntax_type: str


class StarColumn(Node):
    catalog: str
    schema: str
    table: str
    column: str


class StarReplace(Node):
    key: str
    value: AnyExpression


class StarRename(Node):
    key: StarColumn
    value: str


class Star(Expression, tag="STAR"):
    relation_name: str
    columns: bool
    expr: AnyExpression | None
    exclude_list: list[str]
    qualified_exclude_list: list[StarColumn]
    replace_list: list[StarReplace]
    rename_list: list[StarRename]


class Subquery(Expression, tag="SUBQUERY"):
    subquery_type: str
    subquery: Statement
    child: AnyExpression | None
    comparison_type: str


AnyExpression = (
    ColumnRef | Constant | PositionalReference | Comparison | Between | Conjunction | Operator | Case
    | TypeName | Cast | Collate | Function | Window | Lambda | Star | Subquery
)  # fmt: skip

# Tables -----------------------------------------------------------------------------------------------------


class SampleSizeType(Node):
    id: str
    type_info: None


class SampleSize(Node):
    type: SampleSizeType
    is_null: bool
    value: int | float | None = None


class Sample(Node):
    sample_size: SampleSize
    is_percentage: bool
    method: str
    seed: int
    repeatable: bool
    sample_rate: float


class Table(Plain, tag_field="type"):
    sample: Sample | None


class EmptyTable(Table, tag="EMPTY"):
    """No FROM at all."""


class BaseTable(Table, tag="BASE_TABLE"):
    catalog_name: str
    schema_name: str
    table_name: str
    qualified_name: QualifiedName
    column_name_alias: list[str]
    at_clause: None


class SubqueryTable(Table, tag="SUBQUERY"):
    subquery: Statement
    column_name_alias: list[str]


class ValuesTable(Table, tag="EXPRESSION_LIST"):
    expected_names: list[str]
    expected_types: list[Any]
    values: list[list[AnyExpression]]


class TableFunction(Table, tag="TABLE_FUNCTION"):
    function: Function
    column_name_alias: list[str]
    with_ordinality: str


class Join(Table, tag="JOIN"):
    left: AnyTable
    right: AnyTable
    condition: AnyExpression | None
    join_type: str
    ref_type: str
    using_columns: list[str]
    delim_flipped: bool
    duplicate_eliminated_columns: list[AnyExpression]
    is_implicit: bool
    ranking_expression: AnyExpression | None
    nearest_count: int
    nearest_order_type: str
    nearest_approx: bool


class ShowTable(Table, tag="SHOW_REF"):
    """DESCRIBE and SUMMARIZE of a query; without a query it is SHOW, which looks into the catalog."""

    table_name: str
    schema_name: str
    catalog_name: str
    qualified_name: QualifiedName
    query: AnyQuery | None
    show_type: str


AnyTable = (
    EmptyTable | BaseTable | SubqueryTable | ValuesTable | TableFunction | Join | ShowTable
)  # fmt: skip

# Queries ----------------------------------------------------------------------------------------------------


class Order(Node):
    type: str
    null_order: str
    expression: AnyExpression


class Modifier(Node, tag_field="type"):
    """What stands behind a query."""


class OrderModifier(Modifier, tag="ORDER_MODIFIER"):
    orders: list[Order]


class LimitModifier(Modifier, tag="LIMIT_MODIFIER"):
    limit: AnyExpression | None
    offset: AnyExpression | None
    limit_type: str


class DistinctModifier(Modifier, tag="DISTINCT_MODIFIER"):
    distinct_on_targets: list[AnyExpression]


class CommonTable(Node):
    aliases: list[str]
    materialized: str
    key_targets: list[AnyExpression]
    payload_aggregates: list[AnyExpression]
    query_node: AnyQuery


class CommonTableEntry(Node):
    key: str
    value: CommonTable


class CommonTables(Node):
    map: list[CommonTableEntry]


class Query(Node, tag_field="type"):
    cte_map: CommonTables
    modifiers: list[OrderModifier | LimitModifier | DistinctModifier]


class Select(Query, tag="SELECT_NODE"):
    select_list: list[AnyExpression]
    from_table: AnyTable
    where_clause: AnyExpression | None
    group_expressions: list[AnyExpression]
    group_sets: list[list[int]]
    aggregate_handling: str
    having: AnyExpression | None
    qualify: AnyExpression | None
    sample: Sample | None


class SetOperation(Query, tag="SET_OPERATION_NODE"):
    setop_type: str
    setop_all: bool
    left: AnyQuery | None
    right: AnyQuery | None
    children: list[AnyQuery]


class RecursiveQuery(Query, tag="RECURSIVE_CTE_NODE"):
    cte_name: str
    union_all: bool
    left: AnyQuery
    right: AnyQuery
    aliases: list[str]
    key_targets: list[AnyExpression]


AnyQuery = Select | SetOperation | RecursiveQuery


class Statement(Node):
    node: AnyQuery
    named_param_map: list[Any]


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below ``node``, in whatever field or list they are."""
    for field in node.__struct_fields__:
        yield from _nodes_of(getattr(node, field))


def _nodes_of(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _nodes_of(item)
