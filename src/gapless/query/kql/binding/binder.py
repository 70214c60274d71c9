"""Binds a whole query: sources, names given by let, functions, pipelines."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.aggregates.call import AggregateCall
from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.binding import (
    bind_evaluate,
    bind_expand,
    bind_graph,
    bind_join,
    bind_operators,
    bind_parse,
    bind_scan,
    bind_series,
    bind_sources,
    bind_summarize,
    bind_top,
    bind_union,
    graph_match,
)
from gapless.query.kql.binding.bind_scalar import bind, bind_constant
from gapless.query.kql.binding.context import CALLS_MAX, Context, FunctionLet, Let, Scope
from gapless.query.kql.errors import KqlError, suggestion
from gapless.query.kql.relational.relation import (
    Aggregate,
    Limit,
    OneRow,
    Rows,
    Shared,
)
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    NUMBERS,
    TYPES,
    Column,
    Constant,
    Scalar,
    SubqueryValue,
)
from gapless.query.kql.syntax import graphs, operators, tree
from gapless.query.kql.values.conversions import as_type

_OPERATORS = {
    operators.Where: bind_operators.where,
    operators.Extend: bind_operators.extend,
    operators.Serialize: bind_operators.serialize,
    operators.Project: bind_operators.project,
    operators.Sort: bind_operators.sort,
    operators.Top: bind_operators.top,
    operators.Take: bind_operators.take,
    operators.TopNested: bind_top.top_nested,
    operators.Partition: bind_top.partition,
    operators.Sample: bind_top.sample,
    operators.SampleDistinct: bind_top.sample_distinct,
    operators.GetSchema: bind_operators.getschema,
    operators.Render: bind_operators.unchanged,
    operators.AsName: bind_operators.named,
    operators.Count: bind_summarize.count,
    operators.Summarize: bind_summarize.summarize,
    operators.Distinct: bind_summarize.distinct,
    operators.Join: bind_join.join,
    operators.Union: bind_union.union,
    operators.Search: bind_union.search,
    operators.MvExpand: bind_expand.mv_expand,
    operators.MvApply: bind_expand.mv_apply,
    operators.Parse: bind_parse.parse,
    operators.ParseKv: bind_parse.parse_kv,
    operators.MakeSeries: bind_series.make_series,
    operators.Evaluate: bind_evaluate.evaluate,
    operators.ScanSteps: bind_scan.scan,
    graphs.MakeGraph: bind_graph.make_graph,
    graphs.GraphMatch: graph_match.match,
    graphs.MarkComponents: bind_graph.mark_components,
    graphs.GraphToTable: bind_graph.to_table,
}
_OF_GRAPHS = (graphs.GraphMatch, graphs.MarkComponents, graphs.GraphToTable)


class Binder:
    """Binds the expressions and tables of one query; see ``tabular.Tabular``."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def query(self, query: tree.Query) -> Rows:
        """The rows of the answer."""
        self.context.words = query.words
        names = self._with_lets({}, query.lets, Scope({}))
        scope = Scope(names)
        if self.is_tabular(query.result, scope):
            rows = self.rows(query.result, scope)
            if isinstance(rows, bind_graph.Graph):
                raise KqlError("the query gives a graph: write graph-match or graph-to-table after it", 0)
            return rows
        raise KqlError("the query is a value, not a table: put print before it", query.result.at)

    def _with_lets(self, names: dict[str, Let], lets: list[tree.Let], scope: Scope) -> dict[str, Let]:
        for let in lets:
            names = {**names, let.name: self._let(let.value, replace(scope, names=names))}
        return names

    def _let(self, node: tree.Expression, scope: Scope) -> Let:
        if isinstance(node, tree.FunctionBody):
            return FunctionLet(node, scope.names)
        if isinstance(node, tree.Name) and isinstance(scope.names.get(node.name), FunctionLet):
            return scope.names[node.name]
        if self.is_tabular(node, scope):
            shared = self.context.share(self.rows(node, scope.over(None)))
            shared.keep = isinstance(node, tree.Call) and node.name == "materialize"
            return shared
        return bind(node, scope.over(None), self)

    def is_tabular(self, node: tree.Expression, scope: Scope) -> bool:
        """Whether ``node`` gives a table."""
        match node:
            case tree.Pipeline() | operators.Datatable() | operators.RangeSource() | operators.Print():
                return True
            case operators.UnionSource() | operators.SearchSource():
                return True
            case tree.Name(name=name):
                if scope.rows is not None and scope.rows.find(name) is not None:
                    return False
                known = scope.names.get(name)
                if known is not None:
                    return isinstance(known, Shared) or self._gives_table(known, scope)
                return name in self.context.tables
            case tree.Call(name=name):
                if name in ("materialize", "table", "view"):
                    return True
                known = scope.names.get(name)
                return known is not None and self._gives_table(known, scope)
        return False

    def _gives_table(self, let: Let, scope: Scope) -> bool:
        if not isinstance(let, FunctionLet) or let.body.result is None:
            return False
        names = dict(let.names)
        some_table = Shared(0, Rows(OneRow(), []))
        for parameter in let.body.parameters:
            kind = parameter.type
            names[parameter.name] = some_table if kind == "table" else Constant(None, TYPES[kind])
        for inner in let.body.lets:
            if isinstance(inner.value, tree.FunctionBody):
                names[inner.name] = FunctionLet(inner.value, dict(names))
            elif self.is_tabular(inner.value, Scope(names)):
                names[inner.name] = some_table
            else:
                names[inner.name] = Constant(None, DYNAMIC)
        return self.is_tabular(let.body.result, Scope(names))

    def rows(self, node: tree.Expression, scope: Scope) -> Rows:
        """The table that ``node`` gives."""
        match node:
            case tree.Pipeline(source=source, operators=steps):
                return self.piped(self.rows(source, scope), steps, scope)
            case operators.Datatable():
                return bind_sources.datatable(node, scope, self)
            case operators.RangeSource():
                return bind_sources.number_range(node, scope, self)
            case operators.Print():
                return bind_sources.print_row(node, scope, self)
            case operators.UnionSource(union=union):
                return bind_union.union_of(union, [], scope, self)
            case operators.SearchSource(search=search):
                return bind_union.search_source(search, scope, self)
            case tree.Name(name=name):
                return self._named(name, node.at, scope)
            case tree.Call():
                return self._called(node, scope)
        raise KqlError("a table is needed here: a table's name, or a query in parentheses", node.at)

    def piped(self, rows: Rows, steps: list[tree.Operator], scope: Scope) -> Rows:
        """``rows`` after the operators ``steps``."""
        for operator in steps:
            if isinstance(rows, bind_graph.Graph) and not isinstance(operator, _OF_GRAPHS):
                raise KqlError(
                    "only an operator of graphs can follow a graph, such as graph-match", operator.at
                )
            if isinstance(operator, operators.Invoke):
                rows = self._invoked(operator, rows, scope)
            else:
                rows = _OPERATORS[type(operator)](operator, rows, scope, self)  # type: ignore[operator]
        return rows

    def _named(self, name: str, at: int, scope: Scope) -> Rows:
        let = scope.names.get(name)
        if isinstance(let, Shared):
            return self.context.read(let)
        if isinstance(let, FunctionLet):
            return self._call_rows(let, tree.Call(at, name, []), scope)
        if let is not None:
            raise KqlError(f"{name} is a value, not a table", at)
        return self.table(name, at, scope)

    def table(self, name: str, at: int, scope: Scope) -> Rows:
        """The rows of a table of the lake."""
        if name not in self.context.tables:
            known = [n for n, let in scope.names.items() if not isinstance(let, Scalar)]
            known += list(self.context.tables)
            raise KqlError(f"there is no table {name}{suggestion(name, known)}", at, f"table {name}")
        return bind_sources.scan(self.context.tables[name], self.context)

    def _called(self, node: tree.Call, scope: Scope) -> Rows:
        let = scope.names.get(node.name)
        if isinstance(let, FunctionLet):
            return self._call_rows(let, node, scope)
        if node.name == "materialize" and len(node.arguments) == 1:
            shared = self.context.share(self.rows(node.arguments[0].value, scope))
            shared.keep = True
            return self.context.read(shared)
        if node.name == "table" and node.arguments:
            name = bind_constant(node.arguments[0].value, scope, self, "a table's name")
            return self._named(str(name.value), node.at, scope)
        known = [name for name, each in scope.names.items() if isinstance(each, FunctionLet)]
        raise KqlError(
            f"there is no function {node.name} that gives a table{suggestion(node.name, known)}",
            node.at,
            f"function {node.name}",
        )

    def _invoked(self, operator: operators.Invoke, rows: Rows, scope: Scope) -> Rows:
        call = operator.call
        let = scope.names.get(call.name)
        if not isinstance(let, FunctionLet):
            raise KqlError(f"there is no function {call.name} to invoke", call.at, f"function {call.name}")
        piped = self.context.share(rows)
        name = "$invoked"
        arguments = [tree.Argument(call.at, None, tree.Name(call.at, name)), *call.arguments]
        inner = replace(scope, names={**scope.names, name: piped})
        return self._call_rows(let, tree.Call(call.at, call.name, arguments), inner)

    # Functions given by let -------------------------------------------------------------------------------

    def _call_rows(self, let: FunctionLet, node: tree.Call, scope: Scope) -> Rows:
        inner, result = self._entered(let, node, scope)
        rows = self.rows(result, inner)
        return replace(rows, name=node.name) if let.body.is_view else rows

    def call_scalar(self, function: FunctionLet, call: tree.Call, scope: Scope) -> Scalar:
        """The value of a function given by let."""
        inner, result = self._entered(function, call, scope)
        if self.is_tabular(result, inner):
            raise KqlError(f"{call.name}() gives a table where a value is needed: use toscalar()", call.at)
        return bind(result, inner, self)

    def _entered(self, let: FunctionLet, node: tree.Call, scope: Scope) -> tuple[Scope, tree.Expression]:
        """The scope of a function's body during a call, and what the body gives."""
        if scope.calls >= CALLS_MAX:
            raise KqlError(f"functions call each other more than {CALLS_MAX} levels deep", node.at)
        body = let.body
        if body.result is None:
            raise KqlError(f"the function {node.name} is empty", node.at)
        names: dict[str, Let] = dict(let.names)
        given = self._arguments(body.parameters, node)
        for parameter in body.parameters:
            argument = given.get(parameter.name, parameter.default)
            if argument is None:
                raise KqlError(f"{node.name}() lacks its argument {parameter.name}", node.at)
            names[parameter.name] = self._argument(parameter, argument, scope)
        inner = Scope(names, calls=scope.calls + 1)
        names = self._with_lets(names, body.lets, inner)
        return replace(inner, names=names), body.result

    def _arguments(self, parameters: list[tree.Parameter], node: tree.Call) -> dict[str, tree.Expression]:
        if len(node.arguments) > len(parameters):
            raise KqlError(
                f"{node.name}() takes {len(parameters)} arguments, not {len(node.arguments)}", node.at
            )
        given: dict[str, tree.Expression] = {}
        for parameter, argument in zip(parameters, node.arguments, strict=False):
            given[argument.name or parameter.name] = argument.value
        return given

    def _argument(self, parameter: tree.Parameter, argument: tree.Expression, scope: Scope) -> Let:
        if parameter.type == "table":
            rows = self.rows(argument, scope.over(None))
            for name, kind in parameter.columns or ():
                column = rows.find(name)
                if column is None or column.type.name != kind:
                    raise KqlError(
                        f"the table for {parameter.name} needs a column {name}:{kind}", argument.at
                    )
            return self.context.share(rows)
        value = bind(argument, scope, self)
        if value.type.name != parameter.type:
            numeric = {value.type.name, parameter.type} <= NUMBERS
            if not numeric and "dynamic" not in (value.type.name, parameter.type):
                return KqlError(
                    f"the argument {parameter.name} is of type {value.type.name}, not {parameter.type}",
                    argument.at,
                )
            value = as_type(value, TYPES[parameter.type])
        return value

    # Tables as values -------------------------------------------------------------------------------------

    def list_of(self, rows: Rows) -> Scalar:
        """The values of the first column, as a dynamic array."""
        if not rows.columns:
            raise KqlError("the table has no column", 0)
        column = rows.columns[0]
        call = AggregateCall("make_set", 0, [column.ref()], None, [])
        id = self.context.new_id()
        listed = Aggregate(rows.relation, [], [(id, AGGREGATES["make_set"].build(call))])
        found = Column("list", id, DYNAMIC)
        return SubqueryValue(Rows(Limit(listed, 1, []), [found]), found)
