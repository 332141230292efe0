"""The adapters of the SDKs that handlers are written with: all that differs between the SDKs."""
