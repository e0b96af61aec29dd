//! Consistent sampling beside OpenTelemetry's Python SDK, which made the golden list.

use flowmeter::{Sampler, SamplingRate};
use flowmeter_model::TraceId;

/// Written by `golden/sampling.py`.
const GOLDEN: &str = include_str!("golden/sampling.txt");

#[test]
fn every_decision_is_that_of_opentelemetrys_sampler() {
    let rates: Vec<(SamplingRate, &str)> = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix("rate ")?.split_once(' '))
        .map(|(rate, state)| (SamplingRate::parse(rate).unwrap(), state))
        .collect();
    assert_eq!(rates.len(), 6);
    let mut ids = 0;
    let mut seen = [0_usize; 2];
    for line in GOLDEN.lines().filter(|line| !line.starts_with(['#', 'r'])) {
        let (id, letters) = line.split_once(' ').unwrap();
        let trace_id = TraceId::parse(id).unwrap();
        assert_eq!(letters.len(), rates.len());
        ids += 1;
        for (letter, (rate, state)) in letters.chars().zip(&rates) {
            let (kept, state) = if letter == 'k' {
                (true, *state)
            } else {
                (false, "")
            };
            seen[usize::from(kept)] += 1;
            for sampler in [Sampler::TraceIdRatio(*rate), Sampler::parent_based(*rate)] {
                let decision = sampler.decide(trace_id, None);
                let decided = (decision.sampled, decision.trace_state.to_string());
                assert_eq!(decided, (kept, state.to_owned()), "{id} at {rate}");
                assert_eq!(sampler.keeps(trace_id), kept);
            }
        }
    }
    assert!(ids >= 1_000, "{ids} ids");
    assert!(seen.iter().all(|count| *count > 1_000), "{seen:?}");
}
