//! Tests of finding the commit, in repositories made by hand.

use super::*;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const SHA_256: &str = "3333333333333333333333333333333333333333333333333333333333333333";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    fs::write(path, text).expect("it is written");
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_branch_leads_to_its_commit_from_any_folder_beneath() {
    let root = folder();
    write(&root.path().join(".git/HEAD"), "ref: refs/heads/topic/one\n");
    write(
        &root.path().join(".git/refs/heads/topic/one"),
        &format!("{ONE}\n"),
    );
    let inner = root.path().join("a/b");
    fs::create_dir_all(&inner).expect("the folder is made");
    assert_eq!(commit_of(&inner).as_deref(), Some(ONE));
    assert_eq!(commit_of(root.path()).as_deref(), Some(ONE));
}

#[test]
fn a_head_without_a_branch_is_the_commit() {
    let root = folder();
    for commit in [TWO, SHA_256] {
        write(&root.path().join(".git/HEAD"), &format!("{commit}\n"));
        assert_eq!(commit_of(root.path()).as_deref(), Some(commit));
    }
}

#[test]
fn packed_references_are_read_and_loose_ones_win() {
    let root = folder();
    write(&root.path().join(".git/HEAD"), "ref: refs/heads/main\n");
    let packed = format!(
        "# pack-refs with: peeled fully-peeled sorted \n{TWO} refs/heads/not/refs/heads/main\n{ONE} refs/heads/main\n\
         {TWO} refs/tags/v1\n^{ONE}\n"
    );
    write(&root.path().join(".git/packed-refs"), &packed);
    assert_eq!(commit_of(root.path()).as_deref(), Some(ONE));
    write(&root.path().join(".git/refs/heads/main"), TWO);
    assert_eq!(commit_of(root.path()).as_deref(), Some(TWO));
}

#[test]
fn a_worktree_has_a_head_of_its_own() {
    let root = folder();
    let main = root.path().join("main/.git");
    write(&main.join("HEAD"), "ref: refs/heads/main\n");
    write(&main.join("refs/heads/main"), ONE);
    write(&main.join("packed-refs"), &format!("{TWO} refs/heads/topic\n"));
    write(&main.join("worktrees/topic/HEAD"), "ref: refs/heads/topic\n");
    write(&main.join("worktrees/topic/commondir"), "../..\n");
    let tree = root.path().join("topic");
    write(
        &tree.join(".git"),
        &format!("gitdir: {}\n", main.join("worktrees/topic").display()),
    );
    assert_eq!(commit_of(&tree).as_deref(), Some(TWO));
    // A submodule says where it is by a path of its own.
    let inner = root.path().join("main/inner");
    write(&inner.join(".git"), "gitdir: ../.git/modules/inner\n");
    write(&main.join("modules/inner/HEAD"), ONE);
    assert_eq!(commit_of(&inner).as_deref(), Some(ONE));
}

#[test]
fn what_is_no_repository_has_no_commit() {
    let root = folder();
    let head = root.path().join(".git/HEAD");
    for text in [
        "",
        "ref: refs/heads/main",
        "ref: refs/heads/../../secret",
        "ref: /etc/passwd",
        "ref: refs/heads/.invalid",
        "neither hash nor reference",
    ] {
        write(&head, text);
        write(&root.path().join("secret"), ONE);
        assert_eq!(commit_of(root.path()), None, "{text:?}");
    }
    write(&head, "ref: refs/heads/circle");
    write(
        &root.path().join(".git/refs/heads/circle"),
        "ref: refs/heads/circle",
    );
    assert_eq!(commit_of(root.path()), None);
    assert_eq!(commit_of(&root.path().join("nowhere")), None);
}

#[test]
fn the_repository_of_this_source_says_what_git_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = std::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(folder)
        .output();
    // Where the source was unpacked without its repository there is nothing to compare.
    if let Ok(said) = said
        && said.status.success()
    {
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        assert_eq!(commit_of(folder), Some(said));
    }
}
