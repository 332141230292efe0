"""Generated from `protos/` by `.ci/generate`; not to be edited."""
