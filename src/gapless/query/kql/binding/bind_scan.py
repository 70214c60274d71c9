"""scan: sequences of steps along rows in order.

Each step holds a state: whether a sequence has come as far as it, that sequence's number, and what the last
rows of this step and of those before it were. A row goes through the steps from the last to the first, as
the published description of the operator has it: it carries a sequence on from the step before (which then
is empty), or else it goes on in the step itself; the first step begins sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gapless.query.kql.binding.bind_operators import compute, numbered_rows, serialize
from gapless.query.kql.binding.bind_scalar import bind, bind_constant, bind_predicate
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import Concat, Extend, Filter, Fold, FoldStep, OneRow, Rows
from gapless.query.kql.relational.scalars import (
    BOOL,
    LONG,
    NUMBERS,
    TYPES,
    Column,
    Constant,
    Order,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.logic import in_form

#: How many steps a scan may have.
STEPS_MAX = 20
#: A column of the last row of a step: the step's place, the column's name.
_Place = tuple[int, str]


@dataclass(slots=True)
class _State:
    """The state of a step, as columns: whether it is active, the number of its sequence, what it holds."""

    active: Scalar
    match: Scalar
    held: dict[_Place, Scalar]


def scan(node: operators.ScanSteps, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows that match steps, with the columns that these assign."""
    if tabular.context.rows_deep:
        raise unsupported("scan in partition or mv-apply", node.at)
    return _Scan(node, rows, scope, tabular).result()


class _Scan:
    def __init__(self, node: operators.ScanSteps, rows: Rows, scope: Scope, tabular: Tabular) -> None:
        if len(node.steps) > STEPS_MAX:
            raise KqlError(f"scan takes up to {STEPS_MAX} steps", node.at)
        self.node, self.scope, self.tabular = node, scope, tabular
        self.defaults = {each.name: self._default(each) for each in node.declared}
        rows, self.input = self._plain(rows.changed())
        if not rows.order:
            rows = serialize(operators.Serialize(node.at, []), rows, scope, tabular)
        self.source, number = numbered_rows(rows.relation, rows.order, tabular)
        self.number = number.id
        self.kinds = {each.name: each.type for each in self.input}
        self.kinds |= {name: value.type for name, value in self.defaults.items()}
        self.places = {step.name: place for place, step in enumerate(node.steps)}
        self.held = sorted(set(self._referenced()))
        #: What is known before the first row: (column, value).
        self.begin: list[tuple[int, Constant]] = []

    def _default(self, declared: tree.Parameter) -> Constant:
        kind = TYPES[declared.type]
        if declared.default is None:
            return Constant("" if kind.name == "string" else None, kind)
        value = in_form(bind_constant(declared.default, self.scope, self.tabular, "a default"), kind)
        if not isinstance(value, Constant):
            raise KqlError(f"{declared.name} needs a default of type {kind.name}", declared.default.at)
        return value

    def _plain(self, rows: Rows) -> tuple[Rows, list[Column]]:
        """The columns of the rows in the one form that each type has in a state."""
        columns = []
        for each in rows.columns:
            rows, id = compute(rows, certain_text(ticks(each.ref())), self.tabular)
            columns.append(Column(each.name, id, certain_text(ticks(each.ref())).type))
        return rows, columns

    def _referenced(self) -> Iterator[_Place]:
        """The columns of steps that conditions and assignments name."""
        for node in tree.walk(self.node.steps):
            match node:
                case tree.Member(value=tree.Name(name=step), name=column):
                    if step in self.places and column in self.kinds:
                        yield self.places[step], column

    def _nothing(self, place: _Place) -> Constant:
        kind = self.kinds[place[1]]
        empty = Constant("" if kind.name == "string" else None, kind)
        return self.defaults.get(place[1], empty)

    # The state before a row -------------------------------------------------------------------------------

    def _state(self, place: int) -> _State:
        held: dict[_Place, Scalar] = {
            each: self._begun(self._nothing(each)) for each in self.held if each[0] <= place
        }
        return _State(self._begun(Constant(False, BOOL)), self._begun(Constant(None, LONG)), held)

    def _begun(self, value: Constant) -> Ref:
        id = self.tabular.context.new_id()
        self.begin.append((id, value))
        return Ref(id, value.type)

    # One row ----------------------------------------------------------------------------------------------

    def result(self) -> Rows:
        """The rows of all steps that show theirs, in order."""
        before = [self._state(place) for place in range(len(self.node.steps))]
        next_match: Scalar = self._begun(Constant(0, LONG))
        step = FoldStep([id for id, _ in self.begin], [*(c.id for c in self.input), self.number])
        self.body = Rows(step, list(self.input))
        columns = list(self.input)
        for name, value in self.defaults.items():
            columns = [each for each in columns if each.name != name]
            columns.append(Column(name, self._column(value).id, value.type))
        self.row = columns
        after: list[_State] = []
        shown: list[tuple[Scalar, list[Column], Scalar]] = []
        taken: Scalar = Constant(False, BOOL)
        for place in reversed(range(len(before))):
            here = self._left(before[place], taken)
            previous = before[place - 1] if place else None
            taken, matched, seen = self._checked(place, here, previous)
            record = self._record(place, seen)
            new, next_match = self._advanced(
                place, here, previous, (taken, matched), seen, record, next_match
            )
            after.insert(0, new)
            shown.append((matched, record, new.match))
        ids = [self._column(each).id for each in (*self._flat(after), next_match)]
        return self._shown(step, ids, shown)

    def _flat(self, states: list[_State]) -> Iterator[Scalar]:
        for state in states:
            yield from state.held.values()
            yield state.active
            yield state.match

    def _column(self, value: Scalar) -> Ref:
        if isinstance(value, Ref):
            return value
        self.body, id = compute(self.body, value, self.tabular)
        return Ref(id, value.type)

    def _if(self, condition: Scalar, yes: Scalar, no: Scalar) -> Ref:
        return self._column(apply("CASE WHEN $1 THEN $2 ELSE $3 END", (condition, yes, no), yes.type))

    def _left(self, state: _State, taken: Scalar) -> _State:
        """What is left of a state whose sequence the next step may have taken."""
        if isinstance(taken, Constant):
            return state
        held: dict[_Place, Scalar] = {
            each: self._if(taken, self._nothing(each), value) for each, value in state.held.items()
        }
        active = self._column(apply("$1 AND NOT $2", (state.active, taken), BOOL))
        return _State(active, state.match, held)

    def _checked(
        self, place: int, here: _State, previous: _State | None
    ) -> tuple[Scalar, Scalar, dict[_Place, Scalar]]:
        """Whether the row carries the sequence of the step before on, whether it matches at all, and the
        state that it sees then."""
        own = here.held
        goes_on = self._condition(place, own)
        if previous is None:
            return Constant(False, BOOL), goes_on, own
        coming = dict(previous.held) | {each: self._nothing(each) for each in own if each[0] == place}
        taken = apply("$1 AND $2", (previous.active, self._condition(place, coming)), BOOL)
        taken_ref = self._column(taken)
        matched = apply("$1 OR ($2 AND $3)", (taken_ref, here.active, goes_on), BOOL)
        seen: dict[_Place, Scalar] = {each: self._if(taken_ref, coming[each], own[each]) for each in own}
        return taken_ref, self._column(matched), seen

    def _condition(self, place: int, seen: dict[_Place, Scalar]) -> Ref:
        value = bind_predicate(self.node.steps[place].condition, self._scope(place, seen), self.tabular)
        return self._column(apply("coalesce($1, FALSE)", (value,), BOOL))

    def _scope(self, place: int, seen: dict[_Place, Scalar]) -> Scope:
        """The columns of the row, and by the names of steps those that are seen of them."""
        sides = {}
        for step in self.node.steps[: place + 1]:
            own = [(at, value) for at, value in seen.items() if at[0] == self.places[step.name]]
            columns = [Column(at[1], self._column(value).id, value.type) for at, value in own]
            sides[step.name] = Rows(OneRow(), columns)
        return replace(self.scope.over(Rows(self.body.relation, self.row)), sides=sides)

    def _record(self, place: int, seen: dict[_Place, Scalar]) -> list[Column]:
        """The row as the step shows it."""
        scope = self._scope(place, seen)
        assigned: dict[str, Column] = {}
        for each in self.node.steps[place].assignments:
            name = each.names[0] if len(each.names) == 1 else ""
            if name not in self.kinds:
                raise KqlError("a step assigns to columns: declare them first", each.at)
            value = bind(each.value, scope, self.tabular)
            kind = self.kinds[name]
            numeric = {value.type.name, kind.name} <= NUMBERS
            if value.type.name != kind.name and not numeric:
                raise KqlError(f"{name} is of type {kind.name}, not {value.type.name}", each.at)
            # A column of its own, also where the value is one of the state, which is another one afterwards.
            id = self.tabular.context.new_id()
            self.body = self.body.changed(Extend(self.body.relation, [(id, in_form(value, kind))]))
            assigned[name] = Column(name, id, kind)
        return [assigned.get(each.name, each) for each in self.row]

    def _advanced(
        self,
        place: int,
        here: _State,
        previous: _State | None,
        checks: tuple[Scalar, Scalar],
        seen: dict[_Place, Scalar],
        record: list[Column],
        next_match: Scalar,
    ) -> tuple[_State, Scalar]:
        """The state after the row, and the number that the next sequence gets."""
        taken, matched = checks
        row = {each.name: each.ref() for each in record}
        held: dict[_Place, Scalar] = {
            each: self._if(matched, row[each[1]] if each[0] == place else seen[each], value)
            for each, value in here.held.items()
        }
        active = self._column(apply("$1 OR $2", (matched, here.active), BOOL))
        if previous is not None:
            return _State(active, self._if(taken, previous.match, here.match), held), next_match
        begins = self._column(apply("$1 AND NOT $2", (matched, here.active), BOOL))
        match = self._if(begins, next_match, here.match)
        following = self._column(apply("$1 + CAST($2 AS BIGINT)", (next_match, begins), LONG))
        return _State(active, match, held), following

    # The answer -------------------------------------------------------------------------------------------

    def _shown(
        self, step: FoldStep, after: list[int], shown: list[tuple[Scalar, list[Column], Scalar]]
    ) -> Rows:
        order = reversed(range(len(self.node.steps)))
        state = [(id, value, new) for (id, value), new in zip(self.begin, after, strict=True)]
        outputs: dict[int, Type] = {}
        parts = []
        for place, (matched, record, match) in zip(order, shown, strict=True):
            kind = self.node.steps[place].output
            if kind == "none":
                continue
            if kind != "all":
                raise unsupported(f"scan with output={kind}", self.node.steps[place].at)
            columns = list(record)
            if self.node.match_id is not None:
                columns.append(Column(self.node.match_id, self._column(match).id, LONG))
            condition = self._column(matched)
            outputs |= {each.id: each.type for each in columns} | {condition.id: BOOL}
            parts.append((condition, columns))
        below = {each.id for each in self.input}
        added = [(id, kind) for id, kind in outputs.items() if id not in below]
        fold = Fold(self.source, self.number, state, step, self.body.relation, added)
        return self._together(fold, parts)

    def _together(self, fold: Fold, parts: list[tuple[Ref, list[Column]]]) -> Rows:
        """The rows of all steps, each after those of the steps behind it."""
        if not parts:
            raise KqlError("scan needs a step that shows its rows", self.node.at)
        if len(parts) == 1:
            condition, columns = parts[0]
            order = [Order(Ref(self.number, LONG), False, False)]
            return Rows(Filter(fold, condition), columns, order, serialized=True)
        new_id = self.tabular.context.new_id
        hidden = [Column("", id, kind) for id, kind in fold.outputs]
        hidden += [Column("", each.id, each.type) for each in (*self.input, Column("", self.number, LONG))]
        shared = self.tabular.context.share(Rows(fold, hidden))
        number, position = new_id(), new_id()
        ids = [(new_id(), each.type) for each in parts[0][1]]
        relations, sources = [], []
        for index, (condition, columns) in enumerate(parts):
            read = self.tabular.context.read(shared)
            fresh = {old.id: new.ref() for old, new in zip(hidden, read.columns, strict=True)}
            relations.append(Filter(read.relation, fresh[condition.id]))
            cells: list[Scalar] = [fresh[each.id] for each in columns]
            sources.append([*cells, fresh[self.number], Constant(index, LONG)])
        together = Concat(list(relations), [*ids, (number, LONG), (position, LONG)], sources)
        columns = [replace(each, id=id) for each, (id, _) in zip(parts[0][1], ids, strict=True)]
        order = [Order(Ref(id, LONG), False, False) for id in (number, position)]
        return Rows(together, columns, order, serialized=True)
