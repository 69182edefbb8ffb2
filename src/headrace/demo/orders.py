"""The sample function of the demo: prices an order that comes in as a CloudEvent.

Deployed as it is, so it uses the standard library only and must never import ours.
"""

import json

SHIPPING = 5.00
FREE_FROM = 50.00


def handler(event: bytes, context: object) -> bytes:
    order = json.loads(event)
    amount = order["data"]["amount"]
    total = amount if amount >= FREE_FROM else amount + SHIPPING
    print(f"{order['id']}: amount {amount:.2f}, total {total:.2f}")
    return json.dumps({"order": order["id"], "amount": amount, "total": total}).encode()
