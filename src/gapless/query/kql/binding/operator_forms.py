"""What operators there are, as data for the documentation, and where answers differ from Kusto's."""

from __future__ import annotations

#: An operator's form, a sentence about it, and its other names.
FORMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "as": ("as Name", "A name for the rows, which union and search show.", ()),
    "count": ("count", "The number of rows.", ()),
    "datatable": ("datatable(name: type, ...)[value, ...]", "Rows written in the text.", ()),
    "distinct": ("distinct value, ...", "The different rows of these values.", ()),
    "evaluate": ("evaluate plugin(...)", "What a plugin makes of the rows.", ()),
    "extend": ("extend [name =] value, ...", "More columns.", ()),
    "getschema": ("getschema", "The columns, as rows.", ()),
    "graph-mark-components": (
        "graph-mark-components [with_component_id=name]",
        "The graph with the number of its component in each node.",
        (),
    ),
    "graph-match": (
        "graph-match [cycles=...] (node)-[edge]->(node)... [where condition] project [name =] value, ...",
        "The places of a pattern in a graph: edges -[e]->, <-[e]-, -[e]-, or -[e*1..5]-> for a path of so "
        "many, of which map(), any() and all() tell, and of inner_nodes().",
        (),
    ),
    "graph-shortest-paths": (
        "graph-shortest-paths [output=any | all] (node)-[edge*1..5]->(node) [where condition] project ...",
        "The shortest paths between nodes.",
        (),
    ),
    "graph-to-table": (
        "graph-to-table nodes [with_node_id=name] | edges [with_source_id=name] [with_target_id=name]",
        "The nodes or the edges of a graph, as rows.",
        (),
    ),
    "invoke": ("invoke function(...)", "A function of let, with the rows as its first argument.", ()),
    "join": ("join [kind=...] (table) on condition, ...", "The rows of two tables that match.", ()),
    "lookup": ("lookup [kind=...] (table) on condition, ...", "Columns of a table of facts.", ()),
    "make-series": (
        "make-series aggregate [default=value], ... on axis [from a] [to b] step c [by key, ...]",
        "Aggregates along an axis, as arrays.",
        (),
    ),
    "make-graph": (
        "make-graph Source --> Target [with nodes on Column, ... | with_node_id=name]",
        "A graph of rows that are edges, for the operators of graphs.",
        (),
    ),
    "mv-apply": (
        "mv-apply array, ... on (operators)",
        "What operators make of the items of arrays.",
        ("mvapply",),
    ),
    "mv-expand": ("mv-expand array [to typeof(type)], ...", "A row for each item of arrays.", ("mvexpand",)),
    "parse": ("parse [kind=...] value with pattern", "Columns out of a text, by a pattern.", ()),
    "parse-kv": ("parse-kv value as (name: type, ...) with (...)", "Columns for keys in a text.", ()),
    "parse-where": ("parse-where value with pattern", "As parse, without the rows that do not match.", ()),
    "partition": ("partition by Column (operators)", "What operators make of the rows of each value.", ()),
    "print": ("print [name =] value, ...", "One row.", ()),
    "project": ("project [name =] value, ...", "These columns alone.", ()),
    "project-away": ("project-away name, ...", "All columns but these.", ()),
    "project-keep": ("project-keep name, ...", "These columns, in the order in which they were.", ()),
    "project-rename": ("project-rename new = old, ...", "Other names for columns.", ()),
    "project-reorder": ("project-reorder name [asc | desc], ...", "Another order of columns.", ()),
    "range": ("range name from start to stop step step", "Evenly spaced values.", ()),
    "render": ("render chart", "How an answer is to be drawn: it is the same answer.", ()),
    "sample": ("sample rows", "Some rows, by chance.", ()),
    "sample-distinct": ("sample-distinct rows of value", "Some of the different values.", ()),
    "scan": (
        "scan [with_match_id=name] [declare (...)] with (step name: condition => name = value; ...)",
        "Sequences of steps along rows in order.",
        (),
    ),
    "search": ("search [in (table, ...)] condition", "The rows in which a text occurs.", ()),
    "serialize": ("serialize [name = value, ...]", "The rows in an order that window functions need.", ()),
    "sort": ("sort by value [asc | desc] [nulls first | last], ...", "The rows in an order.", ("order",)),
    "summarize": ("summarize aggregate, ... [by key, ...]", "Aggregates of groups of rows.", ()),
    "take": ("take rows", "Some rows.", ("limit",)),
    "top": ("top rows by value [asc | desc], ...", "The first rows in an order.", ()),
    "top-nested": (
        "top-nested [rows] of value by aggregate [asc | desc], ...",
        "The values with the highest aggregates, and within each those of the next level.",
        (),
    ),
    "union": ("union [kind=...] [withsource=name] [isfuzzy=true] table, ...", "All rows of tables.", ()),
    "where": ("where condition", "The rows for which a condition is true.", ("filter",)),
}

#: Where answers are others than Kusto's, each with its reason.
DIFFERENCES = (
    "`dcount`, `percentile` and their like are exact where Kusto estimates.",
    "`basket` looks at all rows where Kusto may sample, and at ten columns at the most.",
    "`series_decompose` and `series_decompose_anomalies` do what is documented; which period is found where"
    " none is given, and how high scores are, may differ from Kusto in detail.",
    "Dynamic values are JSON: a datetime or timespan in them is a text.",
    "Tables of Microsoft Defender have their `TimeGenerated` as `Timestamp`, too, as its own queries need.",
    "A property of `AzureDiagnostics` that has no column (`name_s`, `name_d`, ...) is looked up in "
    "`AdditionalFields`, and is empty where no record has it; Kusto knows no such column.",
    "`_ResourceId`, `Type`, `TenantId` and `_ItemId` can be named on every table; they are among the columns "
    "of an answer only where the table's schema has them.",
    "A node of a graph that no table of nodes has is there with all columns empty, that of its id too; "
    "`node_id()` gives the id.",
    "Where geometries touch so closely that rounding would decide on the answer, it is refused.",
    "An argument of a function of `let` that has the wrong type is refused only where the function uses it.",
)
