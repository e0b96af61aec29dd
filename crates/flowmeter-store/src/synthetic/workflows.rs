//! Three workflows: a digest of a page, the triage of tickets, and a text that is polished in rounds.
//!
//! Never more than one effect's doing where only one is planted.

use flowmeter_model::{SpanError, SpanId};
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::making::{Call, Making, error};
use super::noise::Noise;
use super::{DAY_NS, Effect, HOUR_NS, Year};
use crate::{Append, Origin, RunStatus};

pub(super) const NAMES: [&str; 3] = ["digest", "triage", "polish"];

/// One run with what is planted at its time.
struct Scene<'a> {
    year: &'a Year,
    at: u64,
    /// What everything takes longer by, at this hour of this weekday.
    slow: f64,
    /// What this run's calls are larger by.
    large: u64,
}

impl Scene<'_> {
    fn has(&self, effect: Effect) -> bool {
        self.year.has(effect, self.at)
    }

    /// A call that nobody made before.
    fn call(&self, model: &'static str, input: f64, output: f64, seconds: f64, noise: &mut Noise) -> Call {
        let prompt = format!(
            "Please work on this: {:016x}{:016x}. Answer in plain words.",
            noise.ids.next_u64(),
            noise.ids.next_u64()
        );
        Call {
            model,
            prompt,
            input: noise.around(input, 0.3) as u64 * self.large,
            output: noise.around(output, 0.35) as u64,
            max_tokens: 1_024,
            seconds: noise.around(seconds, 0.3) * self.slow,
        }
    }
}

/// What a program tells of a run.
pub(super) fn run(
    year: &Year,
    workflow: usize,
    (at, mood): (u64, f64),
    is_dear_told: &mut bool,
    noise: &mut Noise,
) -> Vec<Append> {
    let (day, hour) = ((at - year.begins.0) / DAY_NS, at % DAY_NS / HOUR_NS);
    let weekday = (at / DAY_NS + 3) % 7;
    let mut slow = mood * if (13..18).contains(&hour) { 1.3 } else { 1.0 };
    slow *= if weekday >= 5 { 0.85 } else { 1.0 };
    if workflow == 1 && year.has(Effect::SlowDay, at) {
        slow *= 4.0;
    }
    let is_dear = workflow == 0 && !*is_dear_told && year.has(Effect::DearRun, at);
    *is_dear_told |= is_dear;
    let scene = Scene {
        year,
        at,
        slow,
        large: if is_dear { 120 } else { 1 },
    };
    let origin = Origin {
        workflow_version: None,
        session: None,
        user: Some(if noise.chance(0.5) { "ada" } else { "grace" }.to_owned()),
        git_commit: Some(format!("{:040x}", (day / 13 + 1) * 0x9e37_79b9)),
        tags: Vec::new(),
    };
    let mut making = Making::begin(NAMES[workflow], at, origin, noise);
    let status = match noise.unit() {
        chance if chance < 0.005 => RunStatus::Cancelled,
        chance if chance < 0.008 => RunStatus::Interrupted,
        _ => RunStatus::Ok,
    };
    let outcome = match workflow {
        0 => digest(&scene, &mut making, noise),
        1 => triage(&scene, &mut making, noise),
        _ => polish(&scene, &mut making, noise),
    };
    if let Err(error) = outcome {
        making.fail(error);
    }
    making.end(status)
}

/// A node that asks a model, with the retries that models need now and then.
fn ask(
    making: &mut Making,
    name: &str,
    reads: &[&str],
    calls: &[Call],
    refused: f64,
    noise: &mut Noise,
) -> Result<(), SpanError> {
    making.node(name, "llm", reads, noise, |making, node, noise| {
        if let [call] = calls {
            asked(making, node, call, refused, noise)?;
        } else {
            // Twelve items are the batch with too few places.
            let places = if calls.len() == 12 { 3 } else { calls.len() };
            making.batch(node, calls, places, noise);
        }
        Ok(json!(format!("answer {:016x}", noise.ids.next_u64())))
    })
}

fn asked(
    making: &mut Making,
    node: SpanId,
    call: &Call,
    refused: f64,
    noise: &mut Noise,
) -> Result<(), SpanError> {
    for number in 1..=3 {
        let is_busy = noise.chance(0.008);
        let is_refused = number < 3 && noise.chance(refused);
        let outcome = making.attempt(node, number, noise, |making, attempt, noise| {
            if is_busy {
                let busy = error("http_503");
                let short = Call {
                    seconds: 0.1,
                    ..call.clone()
                };
                making.call(attempt, &short, Some(&busy), noise);
                return Err(busy);
            }
            making.call(attempt, call, None, noise);
            if is_refused {
                Err(error("invalid_output"))
            } else {
                Ok(())
            }
        });
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) if number == 3 => return Err(error),
            Err(_) => making.wait(0.05),
        }
    }
    Ok(())
}

/// A node that does something else, and fails now and then.
fn plain(
    making: &mut Making,
    name: &str,
    node_type: &str,
    reads: &[&str],
    seconds: f64,
    fault: Option<&str>,
    noise: &mut Noise,
) -> Result<(), SpanError> {
    let seconds = noise.around(seconds, 0.3);
    let fault = fault.map(SmolStr::new);
    let rare = noise.chance(0.006).then(|| SmolStr::new_static("timeout"));
    making.node(name, node_type, reads, noise, |making, node, noise| {
        let outcome = making.attempt(node, 1, noise, |making, _, _| {
            making.wait(seconds);
            fault.or(rare).map_or(Ok(()), |fault| Err(error(&fault)))
        });
        outcome.map(|()| Value::from(noise.ids.next_u64()))
    })
}

fn digest(scene: &Scene<'_>, making: &mut Making, noise: &mut Noise) -> Result<(), SpanError> {
    let is_refused = scene.has(Effect::ErrorPair) && noise.chance(0.06);
    let fetched = plain(
        making,
        "fetch",
        "http",
        &["url"],
        0.4 * scene.slow,
        is_refused.then_some("http_429"),
        noise,
    );
    // An edge for `error` leads on: there is no page then.
    if is_refused {
        let follows = noise.chance(0.8);
        return plain(
            making,
            "publish",
            "shell",
            &["fetch"],
            0.2,
            follows.then_some("empty_page"),
            noise,
        );
    }
    fetched?;
    let is_shifted = scene.has(Effect::LatencyShift);
    let is_cheap = scene.has(Effect::CheaperModel) && noise.chance(0.4);
    let model = if is_shifted {
        "gpt-5"
    } else if is_cheap {
        "gpt-4o-mini"
    } else {
        "gpt-4o"
    };
    let seconds = if is_shifted { 4.8 } else { 2.1 };
    let items = if scene.has(Effect::BatchQueue) { 12 } else { 1 };
    let mut calls: Vec<Call> = (0..items)
        .map(|_| scene.call(model, 700.0, 180.0, seconds, noise))
        .collect();
    if scene.has(Effect::OutputLimit) {
        for call in &mut calls {
            call.max_tokens = 16_384;
        }
    }
    ask(making, "summarize", &["fetch.response"], &calls, 0.0, noise)?;
    let mut written = vec!["summarize.response"];
    if scene.has(Effect::Independent) {
        let call = scene.call("gpt-4o", 300.0, 40.0, 1.6, noise);
        ask(making, "title", &["fetch.response"], &[call], 0.0, noise)?;
        written.push("title.response");
    }
    plain(making, "publish", "shell", &written, 0.2, None, noise)
}

fn triage(scene: &Scene<'_>, making: &mut Making, noise: &mut Noise) -> Result<(), SpanError> {
    let more = if scene.has(Effect::CostShift) { 2.5 } else { 1.0 };
    let is_prefixed = scene.has(Effect::StaticPrefix);
    let calls: Vec<Call> = (0..if is_prefixed { 6 } else { 1 })
        .map(|_| {
            let mut call = scene.call("gpt-4o", 500.0 * more, 60.0, 0.9, noise);
            if is_prefixed {
                call.prompt = format!("{} {}", "Rule: be brief. ".repeat(560), call.prompt);
                call.input += 2_100;
            }
            if scene.has(Effect::RepeatedPrompts) && noise.chance(0.4) {
                call.prompt = format!("The frequent question number {}", noise.ids.next_u64() % 10);
            }
            call
        })
        .collect();
    ask(making, "classify", &["ticket"], &calls, 0.0, noise)?;
    let often = if scene.has(Effect::PathShift) { 0.6 } else { 0.3 };
    if noise.chance(often) {
        let call = scene.call("gpt-4o", 900.0, 150.0, 2.5, noise);
        ask(
            making,
            "escalate",
            &["classify.response", "ticket"],
            &[call],
            0.0,
            noise,
        )?;
    }
    let is_broken = scene.has(Effect::ErrorRise) && noise.chance(0.15);
    plain(
        making,
        "save",
        "write-file",
        &["classify.response"],
        0.05,
        is_broken.then_some("permission_denied"),
        noise,
    )
}

fn polish(scene: &Scene<'_>, making: &mut Making, noise: &mut Noise) -> Result<(), SpanError> {
    let call = scene.call("gpt-4o", 400.0, 300.0, 2.8, noise);
    ask(making, "draft", &["topic"], &[call], 0.0, noise)?;
    let refused = if scene.has(Effect::CostlyRetries) {
        0.25
    } else {
        0.0
    };
    let mut answer = json!(null);
    for round in 0..4 {
        let call = scene.call("gpt-4o", 600.0, 120.0, 1.2, noise);
        if !(scene.has(Effect::IdleLoop) && round >= 2) {
            answer = json!(format!("{:016x}", noise.ids.next_u64()));
        }
        let answer = answer.clone();
        making.node(
            "review",
            "llm",
            &["draft.response", "review.response"],
            noise,
            |making, node, noise| {
                asked(making, node, &call, refused, noise)?;
                Ok(answer)
            },
        )?;
    }
    plain(
        making,
        "store",
        "write-file",
        &["review.response"],
        0.05,
        None,
        noise,
    )
}
