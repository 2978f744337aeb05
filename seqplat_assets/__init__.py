"""When: Dagster assets, checks and jobs generated from a release. The only package that knows Dagster."""
