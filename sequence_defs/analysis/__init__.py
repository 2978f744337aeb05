"""Static analysis of definitions: rules, findings, and the one run that reports them all."""
