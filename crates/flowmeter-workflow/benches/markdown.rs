//! How fast a large Markdown workflow is read and validated: 2,000 steps with parameters, blocks and templates.
//!
//! The same workflow in JSON beside it, in turns within one process. CPU time of this thread; medians are printed.
//! Limit: reading and validating the Markdown takes at most 50 ms.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use flowmeter_workflow::convert::convert;
use flowmeter_workflow::{Form, check_text_as};

const STEPS: usize = 2_000;
const LIMIT_MS: f64 = 50.0;

/// Steps of four kinds in turn: a command in a block, an object on several lines, one on one line, a message.
fn markdown() -> String {
    let mut text = String::from(
        "# Large\n\nA workflow with many steps.\n\n## Inputs\n\n### who\n\nWhom to greet.\n\n- type: string\n- default: world\n\n## Steps\n",
    );
    for index in 0..STEPS {
        let _ = write!(
            text,
            "\n### step-{index}\n\nDoes the part of the work that has the number {index}.\n\n"
        );
        let before = match index {
            0 => "${who}".to_owned(),
            _ if (index - 1) % 4 == 3 => format!("${{step-{}.echo}}", index - 1),
            _ => format!("${{step-{}.stdout}}", index - 1),
        };
        let _ = match index % 4 {
            0 => write!(
                text,
                "- type: shell\n- timeout: 5\n\n```shell command\necho one\necho '{before}'\n```\n"
            ),
            1 => write!(
                text,
                "- type: shell\n- command: cat\n- stdin: {before}\n- env:\n    MODE: \"yes\"\n    LEVEL: 3\n"
            ),
            2 => write!(
                text,
                "- type: shell\n- command: cat\n- stdin: {{text: {before}, index: {index}}}\n- retry: {{max: 2, wait: 0.5}}\n"
            ),
            _ => write!(text, "- type: echo\n- message: number {index}: {before}\n"),
        };
    }
    text.push_str("\n## Outputs\n\n### last\n\nWhat the last one said.\n\n- source: ${step-1999.echo}\n");
    text
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if is_quick { 5 } else { 31 };
    let folder = Path::new(".");
    let markdown = markdown();
    let json = match convert(&markdown, Form::Markdown, Form::Json, folder) {
        Ok(converted) => converted.text,
        Err(error) => {
            println!("MISS the workflow is not valid: {error}");
            return ExitCode::FAILURE;
        }
    };
    let forms = [
        ("Markdown", Form::Markdown, &markdown),
        ("JSON", Form::Json, &json),
    ];
    let mut times = vec![Vec::with_capacity(rounds); forms.len()];
    for _ in 0..rounds {
        for ((name, form, text), times) in forms.iter().zip(&mut times) {
            let began = thread_cpu();
            let checked = check_text_as(*form, "large", text, folder, None);
            times.push((thread_cpu() - began).as_secs_f64() * 1e3);
            match black_box(checked) {
                Ok(checked) if checked.document.nodes.len() == STEPS => {}
                _ => {
                    println!("MISS the {name} workflow is not valid");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!(
        "{STEPS} steps, {} KB of Markdown, {} KB of JSON: read and validated",
        markdown.len() / 1024,
        json.len() / 1024
    );
    let mut holds = true;
    for (index, ((name, ..), times)) in forms.iter().zip(&mut times).enumerate() {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!("{name:<10} {median:>7.1} ms");
        if index == 0 {
            holds = median <= LIMIT_MS;
        }
    }
    println!(
        "{} Markdown: limit {LIMIT_MS} ms",
        if holds { "ok  " } else { "MISS" }
    );
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
