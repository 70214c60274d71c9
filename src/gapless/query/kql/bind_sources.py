"""Where rows come from: tables, datatable, range, print."""

from __future__ import annotations

from gapless.model.tables import SYSTEM_COLUMNS, TableSchema
from gapless.query.kql import operators, tree
from gapless.query.kql.bind_scalar import bind, bind_constant
from gapless.query.kql.context import Context, Scope
from gapless.query.kql.conversions import as_type
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.forms import certain_text, ticks
from gapless.query.kql.logic import in_form
from gapless.query.kql.names import free_name, implied_name
from gapless.query.kql.relation import (
    Extend,
    OneRow,
    Rows,
    Scan,
    Sequence_,
    Values,
)
from gapless.query.kql.scalars import (
    DATETIME_US,
    GUID,
    LONG,
    NULLABLE_STRING,
    REAL,
    STRING,
    TYPES,
    Column,
    Constant,
    Order,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.several import Several
from gapless.query.kql.sql import apply
from gapless.query.kql.tabular import Tabular
from gapless.query.kql.to_time import to_timespan

#: How many values range may give.
RANGE_MAX = 10_000_000
#: Columns that every table of Azure Monitor has, though its schema may not say so.
_EVERYWHERE = ("TenantId", "_ResourceId", "Type")


def column(name: str, id: int, kind: Type) -> Column:
    """A column that users see."""
    return Column(name, id, kind)


def _held_as(kind: str) -> Type:
    """The type of a table's column as the lake holds it."""
    return {"string": NULLABLE_STRING, "datetime": DATETIME_US}.get(kind) or TYPES[kind]


def scan(table: TableSchema, context: Context) -> Rows:
    """The rows of a table."""
    context.used_tables.add(table.name)
    read: list[tuple[int, str]] = []
    computed: list[tuple[int, Scalar]] = []
    shown: list[Column] = []
    hidden: list[Column] = []
    for each in (*table.columns, *SYSTEM_COLUMNS):
        id = context.new_id()
        read.append((id, each.name))
        kind = _held_as(each.type)
        if each.type in ("timespan", "guid"):
            text = Ref(id, NULLABLE_STRING)
            value = to_timespan(text) if each.type == "timespan" else apply("lower($1)", (text,), GUID)
            id, kind = context.new_id(), TYPES[each.type]
            computed.append((id, value))
        (hidden if each in SYSTEM_COLUMNS else shown).append(Column(each.name, id, kind))
    for name in _EVERYWHERE:
        if all(each.name != name for each in shown):
            id = context.new_id()
            computed.append((id, Constant(table.name if name == "Type" else "", STRING)))
            hidden.append(Column(name, id, STRING))
    identity = [Ref(id, TYPES["string"]) for id, name in read if name in ("_Stream", "_Epoch", "_Seq")]
    id = context.new_id()
    computed.append((id, apply("concat_ws(':', $1, $2, $3)", identity, STRING)))
    hidden.append(Column("_ItemId", id, STRING))
    relation = Extend(Scan(table.name, read), computed)
    return Rows(relation, shown, name=table.name, hidden=hidden)


def datatable(node: operators.Datatable, scope: Scope, tabular: Tabular) -> Rows:
    """Rows written in the text."""
    width = len(node.columns)
    if width == 0 or len(node.values) % width:
        raise KqlError(f"datatable has {len(node.values)} values, which do not fill {width} columns", node.at)
    kinds = [_type(kind, node.at) for _, kind in node.columns]
    rows = []
    for start in range(0, len(node.values), width):
        cells: list[Scalar] = [Constant(start // width, LONG)]
        for each, kind in zip(node.values[start : start + width], kinds, strict=True):
            cells.append(_cell(each, kind, scope, tabular))
        rows.append(cells)
    context = tabular.context
    order = context.new_id()
    columns = [
        Column(name, context.new_id(), kind) for (name, _), kind in zip(node.columns, kinds, strict=True)
    ]
    _check_names(columns, node.at)
    values = Values([(order, LONG), *((each.id, each.type) for each in columns)], rows)
    return Rows(values, columns, [Order(Ref(order, LONG), False, False)])


def _type(kind: str, at: int) -> Type:
    if kind == "decimal":
        raise unsupported("type decimal", at, "use real or long")
    return TYPES[kind]


def _cell(node: tree.Expression, kind: Type, scope: Scope, tabular: Tabular) -> Scalar:
    value = bind(node, scope.over(None), tabular)
    if not isinstance(value, Constant):
        raise KqlError("datatable takes constants alone", node.at)
    have, want = value.type.name, kind.name
    if have == want or value.value is None:
        return in_form(value, kind)
    if want in ("int", "long", "real") and have in ("int", "long", "real"):
        if want != "real" and have == "real":
            raise KqlError(f"a value of type {have} cannot stand in a column of type {want}", node.at)
        return in_form(value, kind)
    if want == "dynamic" or (have == "string" and want in ("datetime", "timespan", "guid")):
        return in_form(value, kind)
    if have == "string" and want in ("int", "long", "real", "bool"):
        return as_type(value, kind)
    raise KqlError(f"a value of type {have} cannot stand in a column of type {want}", node.at)


def _check_names(columns: list[Column], at: int) -> None:
    names = [each.name for each in columns]
    for name in names:
        if names.count(name) > 1:
            raise KqlError(f"the column {name} is there twice", at)


def number_range(node: operators.RangeSource, scope: Scope, tabular: Tabular) -> Rows:
    """Evenly spaced values."""
    start, stop, step = (
        ticks(bind_constant(each, scope, tabular, "a bound of range"))
        for each in (node.start, node.stop, node.step)
    )
    assert isinstance(start, Constant) and isinstance(stop, Constant) and isinstance(step, Constant)
    kinds = (start.type.name, stop.type.name, step.type.name)
    numeric = set(kinds) <= {"int", "long"}
    if not numeric and kinds not in (
        ("datetime", "datetime", "timespan"),
        ("timespan", "timespan", "timespan"),
    ):
        return _real_range(node, (start, stop, step), tabular)
    if None in (start.value, stop.value, step.value) or step.value == 0:
        raise KqlError("range needs bounds that are not null, and a step that is not 0", node.at)
    count = max(0, (stop.value - start.value) // step.value + 1)
    kind = LONG if numeric else TYPES[kinds[0]]
    return _sequence(node, start.value, step.value, count, kind, tabular)


def _sequence(
    node: operators.RangeSource, start: int, step: int, count: int, kind: Type, tabular: Tabular
) -> Rows:
    if count > RANGE_MAX:
        raise KqlError(f"range gives {count} values, more than {RANGE_MAX}", node.at)
    id = tabular.context.new_id()
    found = Column(node.name, id, kind)
    return Rows(Sequence_(id, start, step, count), [found], [Order(found.ref(), step < 0, False)], True)


def _real_range(node: operators.RangeSource, bounds: tuple[Constant, ...], tabular: Tabular) -> Rows:
    if not {each.type.name for each in bounds} <= {"int", "long", "real"}:
        raise KqlError(f"range is not there for {', '.join(each.type.name for each in bounds)}", node.at)
    start, stop, step = (as_type(each, REAL) for each in bounds)
    assert isinstance(start, Constant) and isinstance(stop, Constant) and isinstance(step, Constant)
    if None in (start.value, stop.value, step.value) or not step.value:
        raise KqlError("range needs bounds that are not null, and a step that is not 0", node.at)
    count = max(0, int((stop.value - start.value) / step.value + 1e-9) + 1)
    rows = _sequence(node, 0, 1, count, LONG, tabular)
    index = rows.columns[0]
    id = tabular.context.new_id()
    value = apply("$1 + CAST($2 AS DOUBLE) * $3", (start, index.ref(), step), REAL)
    return rows.changed(Extend(rows.relation, [(id, value)]), [Column(node.name, id, REAL)])


def print_row(node: operators.Print, scope: Scope, tabular: Tabular) -> Rows:
    """One row of the values that are printed."""
    columns: list[Column] = []
    values: list[tuple[int, Scalar]] = []
    for index, named in enumerate(node.columns):
        bound = bind(named.value, scope.over(None), tabular)
        name = named.names[0] if named.names else implied_name(named.value) or f"print_{index}"
        several = bound.values if isinstance(bound, Several) else [(name, bound)]
        for name, each in several:
            value = certain_text(each)
            id = tabular.context.new_id()
            columns.append(Column(free_name(name, (each.name for each in columns)), id, value.type))
            values.append((id, value))
    return Rows(Extend(OneRow(), values), columns)
