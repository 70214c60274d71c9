"""What a query may name: functions, table functions, types and collations, as lists of what is allowed.

A name that stands in none of these lists is refused, so that a new version of the engine cannot bring in a
way out. Left out on purpose: whatever reads files, settings, the catalog, variables or other queries; what
runs or writes SQL (``query``, ``json_serialize_sql``); what takes a function by its name as text
(``list_aggregate``); what only waits (``sleep_ms``); what is internal. Names are in lower case.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPERATORS = _names(
    """
    + - * / // % ** ^ || & && | ~ << >> !__postfix @ ^@ @> <@ <-> <=> ->> ~~ !~~ ~~* !~~* ~~~
    like_escape not_like_escape ilike_escape not_ilike_escape
    add subtract multiply divide mod xor
    """
)

_NUMBERS = _names(
    """
    abs acos acosh asin asinh atan atan2 atanh bin bit_count cbrt ceil ceiling cos cosh cot degrees even exp
    factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor hex isfinite isinf isnan lcm least
    least_common_multiple lgamma ln log log10 log2 nextafter pi pow power radians random round round_even
    sign signbit sin sinh sqrt tan tanh to_base to_binary to_hex trunc
    """
)

_TEXT = _names(
    """
    array_to_string ascii bar base64 bit_length char_length character_length chr concat concat_ws contains
    damerau_levenshtein decode editdist3 encode ends_with format format_bytes formatreadabledecimalsize
    formatreadablesize from_base64 from_binary from_hex hamming hash ilike_escape instr jaccard
    jaro_similarity jaro_winkler_similarity lcase left left_grapheme len length length_grapheme levenshtein
    lower lpad ltrim md5 mismatches nfc_normalize octet_length ord overlay parse_dirname parse_dirpath
    parse_filename parse_path position prefix printf regexp_escape regexp_extract regexp_extract_all
    regexp_full_match regexp_matches regexp_replace regexp_split_to_array repeat replace reverse right
    right_grapheme rpad rtrim sha1 sha256 split split_part starts_with str_split str_split_regex
    string_split string_split_regex string_to_array strip_accents strlen strpos substr substring
    substring_grapheme suffix to_base64 translate trim ucase unbin unhex unicode upper url_decode url_encode
    """
)

_TIMES = _names(
    """
    age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part
    date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear
    days_in_month decade epoch epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour
    isodow isoyear julian last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns
    make_timestamptz microsecond millennium millisecond minute month monthname nanosecond
    normalized_interval now quarter second strftime strptime time_bucket timezone timezone_hour
    timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds
    to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp
    try_strptime week weekday weekofyear year yearweek
    """
)

_JSON = _names(
    """
    array_to_json from_json from_json_strict json json_array json_array_length json_contains json_exists
    json_extract json_extract_path json_extract_path_text json_extract_string json_keys json_merge_patch
    json_object json_pretty json_quote json_structure json_transform json_transform_strict json_type
    json_valid json_value row_to_json to_json variant_contains variant_exists variant_extract
    variant_extract_string variant_keys variant_typeof
    """
)

_NESTED = _names(
    """
    apply array_append array_apply array_cat array_concat array_contains array_distinct array_extract
    array_filter array_has array_has_all array_has_any array_indexof array_intersect array_length
    array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front
    array_reduce array_resize array_reverse array_reverse_sort array_select array_slice array_sort
    array_transform array_unique array_value array_where array_zip cardinality element_at filter flatten
    generate_series generate_subscripts list_any_value list_append list_apply list_approx_count_distinct
    list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat
    list_contains list_count list_distinct list_element list_entropy list_extract list_filter list_first
    list_has list_has_all list_has_any list_histogram list_indexof list_intersect list_last list_max
    list_median list_min list_mode list_pack list_position list_prepend list_product list_reduce list_resize
    list_reverse list_reverse_sort list_select list_slice list_sort list_stddev_pop list_stddev_samp
    list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp list_where
    list_zip map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract
    map_extract_value map_from_entries map_keys map_values range reduce row struct_concat struct_contains
    struct_extract struct_extract_at struct_has struct_insert struct_keys struct_pack struct_position
    struct_update struct_values union_extract union_tag union_value unnest
    """
)

_OTHER = _names(
    """
    constant_or_null gen_random_uuid if nullif typeof uuid uuid_extract_timestamp uuid_extract_version uuidv4
    uuidv7
    """
)

_AGGREGATES = _names(
    """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_min
    arg_min_null argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if
    count_star countif covar_pop covar_samp entropy favg first fsum geometric_mean geomean group_concat
    histogram histogram_exact json_group_array json_group_object kahan_sum kurtosis kurtosis_pop last list
    listagg mad max max_by mean median min min_by mode product quantile quantile_cont quantile_disc
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
    reservoir_quantile sem skewness stddev stddev_pop stddev_samp string_agg sum sumkahan var_pop var_samp
    variance wavg weighted_avg
    """
)

_WINDOWS = _names(
    """
    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense
    row_number
    """
)

#: Functions that ``gapless.query.computed`` has: the engine knows those that a query calls.
COMPUTED = _names(
    """
    bag_set_key bag_zip beta_cdf beta_inv beta_pdf erf erfc gzip_decompress_from_base64_string
    parse_command_line punycode_domain_from_string punycode_domain_to_string punycode_from_string
    punycode_to_string replace_strings schema_of_values welch_test zlib_decompress_from_base64_string
    geo_closest_point_on_line geo_closest_point_on_polygon geo_distance_point_to_line
    geo_distance_point_to_polygon geo_h3cell_neighbors geo_h3cell_rings geo_h3cell_to_central_point
    geo_h3cell_to_polygon geo_intersection_2lines geo_intersection_2polygons
    geo_intersection_line_with_polygon geo_intersects_2lines geo_intersects_2polygons
    geo_intersects_line_with_polygon geo_line_centroid geo_line_densify geo_line_interpolate_point
    geo_line_locate_point geo_line_to_s2cells geo_point_in_polygon geo_point_to_h3cell geo_point_to_s2cell
    geo_polygon_area geo_polygon_centroid geo_polygon_densify geo_polygon_perimeter geo_polygon_to_h3cells
    geo_polygon_to_s2cells geo_s2cell_neighbors geo_s2cell_to_central_point geo_s2cell_to_polygon
    geo_union_lines_array geo_union_polygons_array graph_components hash_xxhash64
    hash_xxhash64_of_ticks series_anomalies series_decomposed
    """
)

#: Functions that an expression may call.
FUNCTIONS = (
    _OPERATORS | _NUMBERS | _TEXT | _TIMES | _JSON | _NESTED | _OTHER | _AGGREGATES | _WINDOWS | COMPUTED
)

#: Functions that may stand in FROM.
TABLE_FUNCTIONS = _names("generate_series json_each json_tree range repeat unnest")

#: Types that a value may be cast to.
TYPES = _names(
    """
    array bigint binary bit blob bool boolean bytea char date datetime dec decimal double enum float float4
    float8 guid hugeint int int1 int128 int16 int2 int32 int4 int64 int8 integer interval json list long map
    numeric real row short smallint string struct text time time_ns timestamp timestamp_ms timestamp_ns
    timestamp_s timestamp_us timestamptz timetz tinyint tuple ubigint uhugeint uint128 uint16 uint32 uint64
    uint8 uinteger union usmallint utinyint uuid varbinary varchar variant
    """
) | {"timestamp with time zone", "time with time zone"}

#: Collations by which text may be compared.
COLLATIONS = _names("binary c nfc noaccent nocase posix nocase.noaccent noaccent.nocase")
