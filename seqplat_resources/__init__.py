"""HOW: the engine and its edges (sources, lake, online store). Knows neither Dagster nor HTTP."""
