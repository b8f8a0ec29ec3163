"""The house rules as code: what tools/check_* have in common."""
