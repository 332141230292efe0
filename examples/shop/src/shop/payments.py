"""The client of the payment service, which does a charge with the same key only once."""

import json
import os
import urllib.request


class CardDeclined(Exception):
    pass


def charge(key: str, amount: int) -> str:
    answer = _post("charges", {"key": key, "amount": amount})
    if answer["status"] == "declined":
        raise CardDeclined(answer["reason"])
    return answer["id"]


def refund(payment: str) -> None:
    _post("refunds", {"payment": payment})


def _post(path: str, body: dict) -> dict:
    url = f"{os.environ['PAYMENTS_URL']}/{path}"
    with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
        return json.load(answer)
