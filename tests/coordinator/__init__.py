"""The coordinator, with a scripted worker at its edge (`world`) or over real gRPC (`wire`)."""
