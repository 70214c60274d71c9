"""Takes from a relational form what the answer does not need, and counts how often each column is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gapless.query.kql.relational.relation import (
    Aggregate,
    Concat,
    Expand,
    Extend,
    Filter,
    Fold,
    FoldStep,
    Join,
    Lateral,
    Limit,
    Reading,
    Relation,
    Rows,
    Scan,
    Sequence_,
    Shared,
    Values,
    Window,
    scalars_of,
)
from gapless.query.kql.relational.scalars import (
    Field,
    Ref,
    Scalar,
    Struct,
    SubqueryContains,
    SubqueryValue,
    refs,
    walk,
)


class Pruned:
    """What a pass over a relational form found. ``needed``: of each relation, the columns that others ask of
    it. ``uses``: how many expressions name a column."""

    def __init__(self) -> None:
        self.needed: dict[int, set[int]] = {}
        self.uses: Counter[int] = Counter()
        self.shared: dict[int, Shared] = {}
        self._readings: dict[int, set[int]] = {}
        self._fields: dict[int, set[int]] = {}

    def rows(self, rows: Rows) -> None:
        """Prune an answer's rows, and whatever they read."""
        wanted = {column.id for column in rows.columns}
        self._use(wanted)
        self._relation(rows.relation, wanted | self._scalars(key.value for key in rows.order))
        while pending := [s for s in self.shared.values() if id(s) not in self.needed]:
            # Later ones read earlier ones: what is asked of one is known when all later ones are done.
            shared = max(pending, key=lambda s: s.number)
            self.needed[id(shared)] = set()
            self._relation(shared.rows.relation, self._asked(shared))

    def readers(self, shared: Shared) -> int:
        """How many places read a shared relation."""
        return len(self._readings[id(shared)])

    def _asked(self, shared: Shared) -> set[int]:
        return self._fields.get(-shared.number, set())

    def _use(self, ids: Iterable[int]) -> None:
        for id_ in ids:
            self.uses[id_] += 1

    def _scalars(self, values: Iterable[Scalar]) -> set[int]:
        """The columns that expressions name."""
        found: set[int] = set()
        for value in walk(*values):
            if isinstance(value, Ref):
                found.add(value.id)
                self.uses[value.id] += 1
            elif isinstance(value, Field):
                self._fields.setdefault(value.struct.id, set()).add(value.field)
            elif isinstance(value, SubqueryValue):
                self._relation(value.rows.relation, {value.column.id})
            elif isinstance(value, SubqueryContains):
                self._relation(value.rows.relation, self._scalars([value.member]))
        return found

    def _relation(self, relation: Relation, wanted: set[int]) -> None:
        # A relation that several expressions hold is asked again: for no more than the first time.
        self.needed[id(relation)] = self.needed.get(id(relation), set()) | wanted
        match relation:
            case Extend():
                relation.columns = [(i, v) for i, v in relation.columns if i in wanted]
                below = wanted - {i for i, _ in relation.columns}
                self._relation(relation.input, below | self._scalars(scalars_of(relation)))
            case Filter() | Limit():
                self._relation(relation.input, wanted | self._scalars(scalars_of(relation)))
            case Aggregate():
                self._aggregate(relation, wanted)
            case Window():
                relation.columns = [(i, v) for i, v in relation.columns if i in wanted]
                own = {i for i, _ in relation.columns}
                named = self._scalars(scalars_of(relation)) if own else set()
                self._relation(relation.input, (wanted - own) | named)
            case Join():
                wanted = wanted | self._scalars([relation.condition])
                self._relation(relation.left, wanted & outputs(relation.left))
                self._relation(relation.right, wanted & outputs(relation.right))
            case Concat():
                self._concat(relation, wanted)
            case Expand():
                own = {i for i, _ in relation.lists}
                self._relation(relation.input, (wanted - own) | self._scalars(scalars_of(relation)))
            case Lateral():
                outer = outputs(relation.input)
                self._relation(relation.body, wanted - outer)
                free = self._free(relation.body) & outer
                self._relation(relation.input, (wanted & outer) | free)
            case Fold():
                self._fold(relation, wanted)
            case Scan():
                relation.columns = [(i, name) for i, name in relation.columns if i in wanted]
            case Values():
                pass
            case Reading():
                self._reading(relation, wanted)

    def _fold(self, relation: Fold, wanted: set[int]) -> None:
        relation.outputs = [(i, kind) for i, kind in relation.outputs if i in wanted]
        kept = {i for i, _ in relation.outputs} | {after for _, _, after in relation.state}
        kept.add(relation.number)
        self._use(kept)
        self._relation(relation.body, kept)
        asked = self.needed.get(id(relation.step), set()) | wanted
        self._relation(relation.input, (asked & outputs(relation.input)) | {relation.number})

    def _aggregate(self, relation: Aggregate, wanted: set[int]) -> None:
        kept = [(i, v) for i, v in relation.aggregates if i in wanted]
        if not kept and not relation.keys:
            kept = relation.aggregates[:1]
        relation.aggregates = kept
        for id_, value in kept:
            self._drop_fields(id_, value)
        self._relation(relation.input, self._scalars(scalars_of(relation)))

    def _drop_fields(self, id_: int, value: Scalar) -> None:
        """From a row of several values, those that are not asked for."""
        asked = self._fields.get(id_)
        if asked is None:
            return
        for each in walk(value):
            if isinstance(each, Struct):
                each.fields[:] = [(i, v) for i, v in each.fields if i in asked]

    def _concat(self, relation: Concat, wanted: set[int]) -> None:
        kept = [index for index, (i, _) in enumerate(relation.columns) if i in wanted]
        relation.columns = [relation.columns[index] for index in kept]
        relation.sources = [[source[index] for index in kept] for source in relation.sources]
        for part, source in zip(relation.parts, relation.sources, strict=True):
            self._relation(part, self._scalars(source))

    def _reading(self, relation: Reading, wanted: set[int]) -> None:
        relation.columns = [(here, there) for here, there in relation.columns if here in wanted]
        shared = relation.shared
        self.shared[id(shared)] = shared
        self._readings.setdefault(id(shared), set()).add(id(relation))
        asked = self._fields.setdefault(-shared.number, set())
        asked |= {there for _, there in relation.columns}
        self._use(there for _, there in relation.columns)

    def _free(self, relation: Relation) -> set[int]:
        """All columns that a relation, or one that it reads, names."""
        found = set(self.needed.get(id(relation), ()))
        for below in relation.inputs():
            found |= self._free(below)
        return found | refs(*scalars_of(relation))


def outputs(relation: Relation) -> set[int]:
    """The columns that a relation has."""
    match relation:
        case Scan(columns=columns):
            return {i for i, _ in columns}
        case Values(columns=columns):
            return {i for i, _ in columns}
        case Aggregate(keys=keys, aggregates=aggregates):
            return {i for i, _ in (*keys, *aggregates)}
        case Extend(input=below, columns=columns):
            return outputs(below) | {i for i, _ in columns}
        case Window(input=below, columns=columns):
            return outputs(below) | {i for i, _ in columns}
        case Expand(input=below, lists=lists):
            return outputs(below) | {i for i, _ in lists}
        case Concat(columns=columns):
            return {i for i, _ in columns}
        case Reading(columns=columns):
            return {i for i, _ in columns}
        case Sequence_(id=id_):
            return {id_}
        case Fold(input=below, outputs=columns):
            return outputs(below) | {i for i, _ in columns}
        case FoldStep(state=state, columns=own):
            return {*state, *own}
        case Join(left=left, right=right, kind=kind):
            return outputs(left) if kind in ("SEMI", "ANTI") else outputs(left) | outputs(right)
    found: set[int] = set()
    for below in relation.inputs():
        found |= outputs(below)
    return found
