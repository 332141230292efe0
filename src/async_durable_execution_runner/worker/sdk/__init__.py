"""What differs between the SDKs that handlers are written with."""
