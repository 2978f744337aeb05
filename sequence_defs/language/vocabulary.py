"""The SQL that definitions and conditions are written in: a closed list, read by everybody who takes an expression.

Polars knows more, and every release of it still more: functions that generate rows, read the clock or files, or make a
text of any size. So what is not named here is refused, whatever it is called and however it is quoted. Functions and
words are looked at before the parser sees a text, nodes in what it made of it.
"""

import re

# A list of some ten thousand ids fits.
MAX_CHARS = 200_000
# Of one number; no type has more.
MAX_DIGITS = 40
# Each of these may nest an expression one deeper, and the parser and Polars go down on the native stack: at some ten
# thousand they end the process, and parsing takes the square of their number.
MAX_STEPS = 500
# Brackets, calls and CASE within each other.
MAX_DEPTH = 16
# Nodes that a text may become (an upper bound, see ``cost``). As many are typed in less than a second.
MAX_NODES = 4_000
# Windows of one expression: each is a sort of the rows and a pass over them. None stands in another.
MAX_WINDOWS = 8
# What a decimal holds.
MAX_PRECISION = 38


def _each(names: str, weight: int = 1) -> dict[str, int]:
    return dict.fromkeys(names.split(), weight)


# Name -> how often an argument stands in what Polars makes of the call; of nested calls that is a power.
ROW_FUNCTIONS: dict[str, int] = {
    **_each(
        "abs acos acosd asin asind atan atan2 atan2d atand cbrt ceil ceiling cos cosd cot cotd degrees div exp floor "
        "ln log log10 log1p log2 mod pi pow power radians round sign sin sind sqrt tan tand trunc truncate "
        "bit_and bit_count bit_not bit_or bit_xor bitand bitcount bitnot bitor bitxor greatest least coalesce if ifnull"
    ),
    **_each(
        "bit_length char_length character_length concat concat_ws ends_with initcap length lower ltrim normalize "
        "octet_length regexp_like regexp_replace replace reverse rtrim starts_with string_to_array strpos upper"
    ),
    **_each("date date_trunc datetime day hour minute month quarter second strftime strptime time timestamp week year"),
    **_each(
        "array_contains array_length array_lower array_mean array_reverse array_sum array_to_string array_unique "
        "array_upper"
    ),
    **_each("date_part dayofweek lpad nullif rpad", 2),
    **_each("left right substr substring", 3),
    **_each("array_get split_part", 4),
}
# Of several rows: in definitions, within a window.
WINDOW_FUNCTIONS: dict[str, int] = {
    **_each(
        "avg count cume_dist dense_rank first first_value lag last last_value lead max median min nth_value "
        "percent_rank quantile_cont quantile_disc rank stddev stddev_samp stdev stdev_samp total unnest var "
        "var_samp variance"
    ),
    **_each("ntile row_number sum", 2),
    **_each("corr covar covar_pop covar_samp", 4),
}
# These give every row all rows of its window: the square of a user's events, in memory.
COLLECTING = frozenset(["array_agg", "group_concat", "listagg", "string_agg"])

_FIELDS = (
    "century day days decade dow doy epoch hour hours isodow isoyear microsecond microseconds millennium millisecond "
    "milliseconds minute minutes month months nanosecond nanoseconds quarter second seconds time week weeks year years"
)
_TYPES = (
    "bigint binary blob bool boolean bytea char character date datetime dec decimal double float float2 float4 float8 "
    "int int1 int2 int4 int8 integer numeric precision real smallint string text time timestamp timestamptz tinyint "
    "ubigint uint1 uint2 uint4 uint8 uinteger unsigned usmallint utinyint varbinary varchar varying"
)
# Words that stand for themselves. Every other is the name of a column, or of a function before a parenthesis.
WORDS = frozenset(
    f"and array as asc between both by case cast current desc distinct else end escape extract false filter first "
    f"following for from ilike in interval is last leading like not null nulls or order over partition position "
    f"preceding regexp rlike row rows substring then trailing trim true try_cast unbounded when where with without xor "
    f"zone {_FIELDS} {_TYPES}".split()
)
# What may stand before a parenthesis and is no function. What CAST holds is parsed in two ways.
BEFORE_PARENTHESIS: dict[str, int] = {
    **_each("and as between by case distinct else escape filter for from ilike in is like not or over regexp rlike"),
    **_each("then when where xor char character dec decimal float numeric time timestamp varbinary varchar varying"),
    **_each("cast extract position trim try_cast", 2),
}

# What reads a clock or a random source has a message of its own: as a call, and as a word that is no column.
VOLATILE = re.compile(
    r"current_\w+|local(?:time|timestamp)|now|today|getdate|sysdate|cur(?:date|time)|\w+_timestamp|rand|random|\w*uuid\w*"
)

# What Polars calls the parts of an expression of one row; not what is in literals, nor what columns are called.
ROW_NODES = frozenset(
    _each(
        "Alias BinaryExpr Boolean Cast Column Eval Element Function Literal NonStrict Sql Strict Ternary "
        # operators and numbers
        "Abs And ArcCos ArcSin Atan2 ArcTan Binary Bitwise Cbrt Ceil Clip Coalesce Cos Cot CountOnes Degrees Div Eq "
        "EqValidity Exp FillNull Floor FloorDivide Generic Gt GtEq IntDiv IsIn IsNotNull IsNull Log Log1p Lt LtEq "
        "MaxHorizontal MinHorizontal Minus Modulus Mul Multiply Not NotEq NotEqValidity Or Plus Pow Radians Rem Round "
        "RustDivide Sign Sin Sqrt Tan ToFloat Trigonometry Truncate Xor "
        # texts
        "ConcatHorizontal Contains EndsWith Find LenBytes LenChars Lowercase NFC NFD NFKC NFKD Normalize PadEnd "
        "PadStart Replace Reverse Slice Split StartsWith StringExpr StripChars StripCharsEnd StripCharsStart Strptime "
        "Titlecase Uppercase "
        # times
        "Century Date Day Hour IsoYear Microsecond Microseconds Millennium Millisecond Milliseconds Minute Month "
        "Nanosecond Nanoseconds OffsetBy OrdinalDay Quarter Second TemporalExpr Time TimeStamp ToString Week "
        "WeekDay Year "
        # lists
        "Get Join Length List ListExpr Max Mean Min Sum Unique "
        # types
        "Decimal Float32 Float64 Int16 Int32 Int64 Int8 String UInt16 UInt32 UInt64 UInt8"
    )
)
WINDOW_NODES = frozenset(
    _each(
        "Agg Any Explode Correlation Count Covariance CumCount CumMax CumMin CumSum Dense DropNulls Equiprobable "
        "FillNullWithStrategy Filter First Forward Gather GroupsToRows Implode IntRange Last Len Linear Median NUnique "
        "NullCount Ordered Over Pearson Quantile Range Rank Repeat RollingExpr RowEncode Shift Std Var"
    )
)
