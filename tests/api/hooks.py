"""What the tester has to be told of the API."""

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(ctx, value):
    """Lines are text, whatever stands on them."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
