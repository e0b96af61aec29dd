//! The workspace as cargo describes it: its members, what they depend on, which benches they have.
//!
//! Never resolves or downloads anything: declared dependencies of the members are enough for every check.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The members of the workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Where the workspace is.
    pub(crate) root: PathBuf,
    /// Its packages.
    pub(crate) members: Vec<Member>,
}

/// One package of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder, from the root of the workspace.
    pub(crate) folder: String,
    /// The text of its manifest.
    pub(crate) manifest: String,
    /// Every dependency that it declares, optional ones too.
    pub(crate) dependencies: Vec<Dependency>,
    /// The names of its benches.
    pub(crate) benches: Vec<String>,
}

/// One declared dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The name of the package depended on, whatever it is renamed to.
    pub(crate) name: String,
    /// Under which heading it is declared.
    pub(crate) kind: Kind,
}

/// The heading of a dependency in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `[dependencies]`
    Normal,
    /// `[build-dependencies]`
    Build,
    /// `[dev-dependencies]`
    Dev,
}

impl Kind {
    /// The heading as it stands in a manifest.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Normal => "dependencies",
            Self::Build => "build-dependencies",
            Self::Dev => "dev-dependencies",
        }
    }
}

impl Workspace {
    /// Asks cargo, and reads the members' manifests.
    pub(crate) fn load() -> Result<Self> {
        let json = command::cargo_output(&["metadata", "--format-version", "1", "--no-deps"])?;
        let mut workspace = Self::parse(&json)?;
        for member in &mut workspace.members {
            let path = workspace.root.join(member.manifest_path());
            member.manifest =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(workspace)
    }

    /// Reads what `cargo metadata --no-deps` prints; the manifests' texts stay empty.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(json).context("cargo metadata is not JSON")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let mut members = Vec::new();
        for package in list(&metadata, "packages") {
            members.push(Member::parse(package, &root)?);
        }
        Ok(Self { root, members })
    }
}

impl Member {
    /// A package of this name in `crates/`, with nothing in it.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            ..Self::default()
        }
    }

    fn parse(package: &Value, root: &Path) -> Result<Self> {
        let manifest_path = PathBuf::from(text(package, "manifest_path")?);
        let folder = manifest_path.parent().unwrap_or(root);
        let folder = folder
            .strip_prefix(root)
            .unwrap_or(folder)
            .to_string_lossy()
            .replace('\\', "/");
        let mut dependencies = Vec::new();
        for dependency in list(package, "dependencies") {
            let kind = match dependency.get("kind").and_then(Value::as_str) {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            };
            dependencies.push(Dependency {
                name: text(dependency, "name")?.to_owned(),
                kind,
            });
        }
        let is_bench = |target: &&Value| {
            list(target, "kind")
                .iter()
                .any(|kind| kind.as_str() == Some("bench"))
        };
        let benches = list(package, "targets")
            .iter()
            .filter(is_bench)
            .map(|target| Ok(text(target, "name")?.to_owned()))
            .collect::<Result<_>>()?;
        let name = text(package, "name")?.to_owned();
        Ok(Self {
            name,
            folder,
            manifest: String::new(),
            dependencies,
            benches,
        })
    }

    /// The manifest, from the root of the workspace.
    pub(crate) fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// The line of the manifest that declares the dependency; 1 if it cannot be found.
    pub(crate) fn line_of(&self, dependency: &Dependency) -> usize {
        let mut heading = "";
        for (index, line) in self.manifest.lines().map(str::trim).enumerate() {
            if let Some(rest) = line.strip_prefix('[') {
                heading = rest.trim_end_matches(']');
            }
            let in_section = heading.rsplit('.').any(|part| part == dependency.kind.heading());
            let key: &str = line.split(['.', '=', ' ']).next().unwrap_or_default();
            let renamed = line.contains(&format!("package = \"{}\"", dependency.name));
            let own_table = line.starts_with('[') && heading.ends_with(&format!(".{}", dependency.name));
            if in_section && (key == dependency.name || renamed || own_table) {
                return index + 1;
            }
        }
        1
    }
}

/// The root of the workspace: the folder above xtask's own, or the current folder without cargo.
pub(crate) fn root() -> Result<PathBuf> {
    if let Some(manifest_dir) = std::env::var_os("CARGO_MANIFEST_DIR")
        && let Some(parent) = Path::new(&manifest_dir).parent()
    {
        return Ok(parent.to_path_buf());
    }
    std::env::current_dir().context("there is no current folder")
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .with_context(|| format!("cargo metadata lacks `{key}`"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
