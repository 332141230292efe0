"""A test module beside no __init__.py."""

WHERE = "alone"


def plain(event, context):
    return [WHERE, event]


class Described:
    def __init__(self, text):
        self.text = text


def test_travel(travel):
    described = Described("closure of")

    def closure(event, context):
        assert isinstance(described, Described)
        return [f"{described.text} {WHERE}", event]

    travel("plain", plain)
    travel("closure", closure)
