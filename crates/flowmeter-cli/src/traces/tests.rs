//! Unit tests of the folder of traces.

use super::*;

fn write_trace(folder: &Path, name: &str, first_line: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("{first_line}\n")).unwrap();
    path
}

fn named(number: usize) -> String {
    format!("20250101T0000{number:02}.000Z-hello-{number:032x}.json")
}

const FINISHED: &str = r#"{"format":"flowmeter.trace/1","trace_id":"x","spans":["#;

#[test]
fn the_oldest_go_and_foreign_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..6 {
        write_trace(folder.path(), &named(number), FINISHED);
    }
    let notes = write_trace(folder.path(), "notes.json", "mine");
    prune(folder.path(), 2, None);
    let left: Vec<PathBuf> = saved(folder.path());
    assert_eq!(left, [folder.path().join(named(4)), folder.path().join(named(5))]);
    assert!(notes.exists());
}

#[test]
fn the_trace_of_a_running_process_stays() {
    let folder = tempfile::tempdir().unwrap();
    let header = |pid: u32| {
        format!(
            r#"{{"format":"flowmeter.trace/1","trace_id":"x","workflow":"w","start_time":1,"pid":{pid}}}"#
        )
    };
    let running = write_trace(folder.path(), &named(0), &header(std::process::id()));
    let killed = write_trace(folder.path(), &named(1), &header(i32::MAX as u32));
    let own_half = format!("{}.{}.partial", named(2), std::process::id());
    let running_half = write_trace(folder.path(), &own_half, "");
    let killed_half = write_trace(folder.path(), &format!("{}.{}.partial", named(3), i32::MAX), "");
    prune(folder.path(), 0, None);
    assert!(running.exists() && running_half.exists());
    assert!(!killed.exists() && !killed_half.exists());
}

#[test]
fn the_run_s_own_trace_stays() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_trace(folder.path(), &named(0), FINISHED);
    let own = write_trace(folder.path(), &named(1), FINISHED);
    prune(folder.path(), 0, Some(&own));
    assert!(own.exists() && !old.exists());
}

#[test]
fn what_names_nothing_is_told_how_runs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    let told = |wanted: &str| find(&home, wanted).unwrap_err().to_string();
    assert!(told("6").contains("at least 4 digits of its id"), "{}", told("6"));
    assert!(told("nothing.json").contains("there is no trace file nothing.json"));
    assert!(told("last").contains("there is no run yet"), "{}", told("last"));
}
