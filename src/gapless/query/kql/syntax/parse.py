"""Statements and pipelines: the whole text."""

from __future__ import annotations

from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.syntax import operators, parse_tables, tree
from gapless.query.kql.syntax.parse_operators import OperatorParser

_UNSUPPORTED_STATEMENTS = frozenset({"set", "alias", "restrict", "pattern", "declare"})


def parse(text: str) -> tree.Query:
    """The syntax tree of ``text``: of its last query, where an empty line stands between queries.

    Raises KqlError with the offset of what is wrong.
    """
    return _Parser(text).query()


class _Parser(OperatorParser):
    def query(self) -> tree.Query:
        lets: list[tree.Let] = []
        result: tree.Expression | None = None
        while True:
            while self.take_mark(";"):
                pass
            if self.token.kind == "end":
                break
            statement = self._statement()
            if isinstance(statement, list):
                lets += statement
            else:
                result = statement
            if self.token.kind == "end":
                break
            if self.token.blank and not self.is_mark(";"):
                if result is not None:
                    lets, result = [], None
                continue
            self.expect(";")
        if result is None:
            raise KqlError("there is no query: write a table's name, or what begins with one", self.at)
        return tree.Query(0, lets, result, self.words())

    def _statement(self) -> tree.Expression | list[tree.Let]:
        if self.is_word("let"):
            return [self._let()]
        if self.is_word("declare") and self.peek().value == "query_parameters":
            return self._query_parameters()
        word, following = self.token.value, self.peek()
        if self.token.kind == "name" and word in _UNSUPPORTED_STATEMENTS and following.kind == "name":
            raise unsupported(f"statement {word}", self.at)
        return self.pipeline()

    def _query_parameters(self) -> list[tree.Let]:
        """Names with the values that they have where nobody gives others, and here nobody does."""
        self.take()
        self.take()
        self.expect("(")
        return self.enclosed(self._query_parameter, ")")

    def _query_parameter(self) -> tree.Let:
        each = self._parameter()
        default = each.default
        if not isinstance(default, tree.Literal) or default.type != each.type:
            raise KqlError(f"give the query parameter {each.name} a literal of its type: = ...", each.at)
        return tree.Let(each.at, each.name, default)

    def _let(self) -> tree.Let:
        at = self.take().start
        name = self.name()
        self.expect("=")
        is_view = self.is_word("view") and self.peek().value == "("
        if is_view:
            self.take()
        value = self._function(is_view) if self._is_function() else self.pipeline()
        return tree.Let(at, name, value)

    def _is_function(self) -> bool:
        """Whether what comes next is (parameters) {body}."""
        if not self.is_mark("("):
            return False
        ahead, depth = 1, 1
        while depth:
            token = self.peek(ahead)
            if token.kind == "end":
                return False
            if token.kind == "mark":
                depth += {"(": 1, ")": -1}.get(token.value, 0)
            ahead += 1
        return self.peek(ahead).kind == "mark" and self.peek(ahead).value == "{"

    def _function(self, is_view: bool) -> tree.FunctionBody:
        at = self.at
        self.enter()
        self.expect("(")
        parameters = self.enclosed(self._parameter, ")")
        self.expect("{")
        lets = []
        while self.is_word("let"):
            lets.append(self._let())
            self.expect(";")
        result = None if self.is_mark("}") else self.pipeline()
        self.take_mark(";")
        self.expect("}")
        self.leave()
        return tree.FunctionBody(at, parameters, lets, result, is_view)

    def _parameter(self) -> tree.Parameter:
        at, name = self.at, self.name()
        self.expect(":")
        if not self.is_mark("("):
            kind = self.type_name()
            default = self.expression() if self.take_mark("=") else None
            return tree.Parameter(at, name, kind, default=default)
        if self.peek().value == "*":
            self.take()
            self.take()
            self.expect(")")
            return tree.Parameter(at, name, "table")
        return tree.Parameter(at, name, "table", columns=self.columns())

    def pipeline(self) -> tree.Expression:
        self.enter()
        source = self._source()
        steps: list[tree.Operator] = []
        at = self.at
        while self.take_mark("|"):
            steps.append(self.operator())
        self.leave()
        return tree.Pipeline(at, source, steps) if steps else source

    def _source(self) -> tree.Expression:
        token, following = self.token, self.peek()
        if token.kind != "name":
            return self.expression()
        if token.value == "datatable" and following.value == "(":
            return self._datatable()
        if token.value == "externaldata" and following.value == "(":
            raise unsupported(
                "operator externaldata", token.start, "queries read tables of this tenant alone"
            )
        if token.value == "range" and following.kind in ("name", "mark") and self.peek(2).value == "from":
            return self._range()
        if following.kind == "mark" and following.value not in ("(", "[", "*", "-", "@"):
            return self.expression()
        if token.value == "print":
            self.take()
            return operators.Print(token.start, self.named_list())
        if token.value == "union" and following.value != "-":
            self.take()
            return operators.UnionSource(token.start, parse_tables.union(self, token.start))
        if token.value == "search":
            self.take()
            return operators.SearchSource(token.start, parse_tables.search(self, token.start))
        if token.value == "find":
            raise unsupported("operator find", token.start, "use search or union")
        return self.expression()

    def _datatable(self) -> tree.Expression:
        at = self.take().start
        columns = self.columns()
        self.expect("[")
        return operators.Datatable(at, columns, self.enclosed(self.expression, "]"))

    def _range(self) -> tree.Expression:
        at = self.take().start
        name = self.name()
        self.expect_word("from")
        start = self.expression()
        self.expect_word("to")
        stop = self.expression()
        self.expect_word("step")
        return operators.RangeSource(at, name, start, stop, self.expression())
