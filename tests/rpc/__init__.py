"""The wire: that what goes in comes out, and what nobody knows is refused."""
