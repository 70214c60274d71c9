"""What a worker does once, so that each query that it forks has it."""

from __future__ import annotations

from typing import get_args

from gapless.model.tables import Column, ColumnType, TableSchema
from gapless.query.kql.fields import field_sql
from gapless.query.kql.transform import shaped_sql
from gapless.query.kql.translate import translate

_WARM = """
let t = datatable(t: datetime, s: string, n: long, r: real, d: dynamic)[];
t | where s has 'x' and s contains 'y' and s startswith 'z' and t > ago(1d) and isnotempty(s) and n != 5
| where s has_any ('a', 'b') or s !in ('a', '') or s =~ 'b' or s matches regex 'c' or n in (1, 2) or r > 1.5
| where t between (ago(2d) .. now()) and s !has 'q' and s !contains 'w' and not(n == 7) and s endswith 'e'
| extend a = strcat(s, n), b = bin(t, 1h), c = tostring(d.x.y), e = split(s, ',')
| extend f = tolower(s), g = iff(n > 1, s, '')
| extend h = extract('(a)', 1, s), i = case(n > 1, 'a', n > 2, 'b', 'c'), j = parse_json(s)
| extend k = array_length(d)
| extend l = todatetime(s), m = toint(d.y), o = tolong(s), p = replace_regex(s, 'a', 'b')
| extend q = coalesce(s, 'x')
| extend u = substring(s, 1, 2), v = todouble(d.z), w = startofday(t), x = t - ago(1d)
| extend y = toupper(s), z = strlen(s)
| mv-expand d | parse s with 'a' aa 'b' bb | join kind=leftouter (t | project s, n2 = n) on s
| summarize min(t), max(n), sum(n), avg(r), dcount(s), count(), countif(n > 1), make_set(s), make_list(n),
    take_any(s), arg_max(t, *) by s, b
| sort by b asc | extend prev(s)
"""


def prepare_templates() -> None:
    """Translate a query of what most queries use, a field of each type, and a transform: their templates are
    parsed then, and nothing is left to be loaded."""
    translate(_WARM, ())
    for kind in get_args(ColumnType):
        field_sql("NULL", Column("warm", kind))
    shaped_sql("source | parse s with 'a' b | project c = b", TableSchema("source", (Column("s", "string"),)))
