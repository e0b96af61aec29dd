"""Writes sampling.txt beside it: what OpenTelemetry's Python SDK decides for random trace ids at several rates.

Made with opentelemetry-sdk 1.45.2:
    pip install opentelemetry-sdk==1.45.2 && python sampling.py > sampling.txt
"""

import random
from importlib.metadata import version

from opentelemetry.sdk.trace._sampling_experimental import (
    composable_traceid_ratio_based,
    composite_sampler,
)
from opentelemetry.sdk.trace.sampling import Decision

RATES = ["1", "0.25", "0.1", "1/3", "0.001", "1e-17"]
SEED = 20250115

numbers = random.Random(SEED)
# Some ids have the upper bits of their randomness set, so that small rates keep some too, and some stand right
# beside a threshold, where rounding shows.
ids = [numbers.getrandbits(128) | 1 << 127 for _ in range(1000)]
ids += [numbers.getrandbits(128) | 1 << 127 | 0xFFC << 44 for _ in range(200)]
ids += [numbers.getrandbits(128) | 1 << 127 | 0xFFFFFFFFFFF << 12 for _ in range(100)]


def number(rate):
    part, _, whole = rate.partition("/")
    return float(part) / float(whole or 1)


for rate in RATES:
    threshold = (1 << 56) - round(number(rate) * float(1 << 56))
    high = numbers.getrandbits(72) << 56 | 1 << 127
    for beside in range(-8, 9):
        low = threshold + beside
        if 0 <= low < 1 << 56:
            ids.append(high | low)

samplers = [composite_sampler(composable_traceid_ratio_based(number(rate))) for rate in RATES]
print(f"# opentelemetry-sdk {version('opentelemetry-sdk')}; made by sampling.py")
print("# each rate with the tracestate of the traces that are kept; dropped ones have none")
for rate, sampler in zip(RATES, samplers):
    states = {
        (result.decision != Decision.DROP, result.trace_state.to_header() if result.trace_state else "")
        for result in (sampler.should_sample(None, trace_id, "run") for trace_id in ids)
    }
    kept = [state for sampled, state in states if sampled]
    dropped = [state for sampled, state in states if not sampled]
    assert dropped in ([], [""]) and len(kept) <= 1, (rate, states)
    print(f"rate {rate} {kept[0] if kept else '-'}")
print("# each trace id with one letter a rate: k(eep) or d(rop)")
for trace_id in ids:
    letters = "".join(
        "d" if sampler.should_sample(None, trace_id, "run").decision == Decision.DROP else "k"
        for sampler in samplers
    )
    print(f"{trace_id:032x} {letters}")
