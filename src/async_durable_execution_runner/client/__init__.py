"""A process that has a coordinator: how it is started, reached and spoken with."""
