"""The payment service as the workers find it: `worker_setup=` runs these in each of them."""

from unittest.mock import patch

from async_durable_execution_runner import ledger

from shop.payments import CardDeclined


def payments():
    return patch.multiple("shop.payments", charge=_charge, refund=_refund)


def payments_that_decline():
    return patch("shop.payments.charge", side_effect=CardDeclined("it has expired"))


def _charge(key, amount):
    ledger.record("charge", key=key, amount=amount)
    return f"payment-{key}"


def _refund(payment):
    ledger.record("refund", key=payment)
