"""Functions of probability, of the inside of dynamic values, and of text, that Python computes (see
``gapless.query.computed``)."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.forms import certain_text

PROBABILITY = Family("Probability")
TREES = Family("The inside of dynamic values")
TEXTS = Family("Text taken apart")


def _probability(signature: str, summary: str) -> None:
    """A function of real numbers, which is NaN of those that it is not there for."""
    name, parameters = signature.split("(")
    places = [f"${place}" for place in range(1, parameters.count(":"))]
    given = " AND ".join(f"{place} IS NOT NULL" for place in places)
    nan = f"CASE WHEN {given} THEN CAST('nan' AS DOUBLE) END"
    PROBABILITY.sql(signature, f"coalesce({name}({', '.join(places)}), {nan})", summary)


_BETA = "alpha: real, beta: real"
_probability(f"beta_cdf(x: real, {_BETA}): real", "The share of the beta distribution up to a value.")
_probability(f"beta_pdf(x: real, {_BETA}): real", "The density of the beta distribution.")
_probability(
    f"beta_inv(probability: real, {_BETA}): real",
    "The value up to which the beta distribution has a share.",
)
_probability("erf(x: real): real", "The error function.")
_probability("erfc(x: real): real", "1 less the error function.")
_SAMPLES = ", ".join(f"mean{at}: real, variance{at}: real, count{at}: real" for at in (1, 2))
_probability(
    f"welch_test({_SAMPLES}): real",
    "The probability that two samples whose means are so far apart are of one population (Welch's t-test).",
)


@TREES.function(
    "bag_set_key(bag: dynamic, key: string, value: any): dynamic",
    "With a member of that name, or at the end of a path such as $.a.b.",
)
def _bag_set_key(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = to_dynamic(certain_text(arguments[2]))
    return apply("bag_set_key($1, $2, $3)", (*arguments[:2], value), DYNAMIC)


TREES.computed(
    "bag_zip(keys: dynamic, values: dynamic): dynamic", "A bag of an array of names and one of values."
)

TEXTS.computed(
    "replace_strings(text: string, lookups: dynamic, rewrites: dynamic): string",
    "With each occurrence of one of several texts replaced by that at the same place: of the first one "
    "everywhere, of the next one in what is left, and so on.",
)


@TEXTS.function(
    "parse_command_line(text: string, const parser: string): dynamic",
    'The arguments of a command line, by the rules of "Windows".',
)
def _parse_command_line(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if str(call.constant(arguments[1], "a parser").value).lower() != "windows":
        raise call.error('the parser must be "Windows"')
    return apply("parse_command_line($1)", arguments[:1], DYNAMIC)


TEXTS.computed("punycode_from_string(text: string): string", "A text in Punycode.")
TEXTS.computed("punycode_to_string(text: string): string", "The text of Punycode.")
TEXTS.computed(
    "punycode_domain_from_string(text: string): string",
    "A domain's name with each label that is not ASCII in Punycode.",
)
TEXTS.computed(
    "punycode_domain_to_string(text: string): string", "A domain's name without Punycode in its labels."
)
for _name in ("zlib", "gzip"):
    TEXTS.computed(
        f"{_name}_decompress_from_base64_string(text: string): string",
        f"The text of base64 that {_name} compressed; empty text for what is none.",
    )
