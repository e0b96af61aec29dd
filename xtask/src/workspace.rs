//! The workspace as cargo describes it: its members, what they depend on, which benches they have; and the
//! package beside it whose benches measure flowmeter against its peers.
//!
//! Never resolves or downloads anything: declared dependencies of the members are enough for every check.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::command;

/// The folder of the peers' package, which is excluded from the workspace: it has a lock file of its own.
pub(crate) const PEERS: &str = "benches";

/// The folder of the fuzz targets' package, excluded for the same reason.
pub(crate) const FUZZ: &str = "fuzz";

/// The members of the workspace, and the packages beside it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Where the workspace is.
    pub(crate) root: PathBuf,
    /// Where cargo builds it.
    pub(crate) target: PathBuf,
    /// Its packages.
    pub(crate) members: Vec<Member>,
    /// The package in [`PEERS`].
    pub(crate) peers: Member,
    /// The package in [`FUZZ`].
    pub(crate) fuzz: Member,
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
    /// The workspace in `/w` of these packages.
    #[cfg(test)]
    pub(crate) fn of(members: Vec<Member>, peers: Member) -> Self {
        Self {
            root: "/w".into(),
            target: "/w/target".into(),
            members,
            peers,
            fuzz: Member::fuzz(),
        }
    }

    /// Asks cargo, and reads the manifests.
    pub(crate) fn load() -> Result<Self> {
        let metadata = |more: &[&str]| {
            let args = ["metadata", "--format-version", "1", "--no-deps"];
            command::cargo_output(&[&args, more].concat())
        };
        let beside = |folder: &str| metadata(&["--manifest-path", &format!("{folder}/Cargo.toml")]);
        let mut workspace = Self::parse(&metadata(&[])?, &beside(PEERS)?, &beside(FUZZ)?)?;
        let outside = [&mut workspace.peers, &mut workspace.fuzz];
        for member in workspace.members.iter_mut().chain(outside) {
            let path = workspace.root.join(member.manifest_path());
            member.manifest =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(workspace)
    }

    /// Reads what `cargo metadata --no-deps` prints for the workspace and for the packages beside it; the
    /// manifests' texts stay empty.
    pub(crate) fn parse(json: &str, peers_json: &str, fuzz_json: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(json).context("cargo metadata is not JSON")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let members = Member::parse_all(&metadata, &root)?;
        let beside = |folder: &str, json: &str| {
            let metadata: Value = serde_json::from_str(json)
                .with_context(|| format!("cargo metadata of `{folder}` is not JSON"))?;
            let [package] = <[Member; 1]>::try_from(Member::parse_all(&metadata, &root)?)
                .map_err(|found| anyhow!("`{folder}` must be one package, not {}", found.len()))?;
            anyhow::Ok(package)
        };
        let (peers, fuzz) = (beside(PEERS, peers_json)?, beside(FUZZ, fuzz_json)?);
        Ok(Self {
            target: PathBuf::from(text(&metadata, "target_directory")?),
            root,
            members,
            peers,
            fuzz,
        })
    }

    /// Every package that has code of the project's own.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().chain([&self.peers, &self.fuzz])
    }

    /// The words that make a cargo command work on the peers' package. Its builds go into a folder of the
    /// workspace's own, so that `cargo clean` removes them too.
    pub(crate) fn peers_args(&self) -> Vec<String> {
        let target = self.target.join("peers");
        let shown = target.strip_prefix(&self.root).unwrap_or(&target);
        vec![
            "--manifest-path".to_owned(),
            self.peers.manifest_path(),
            "--target-dir".to_owned(),
            shown.to_string_lossy().into_owned(),
        ]
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

    /// The peers' package, with nothing in it.
    #[cfg(test)]
    pub(crate) fn peers() -> Self {
        Self {
            folder: PEERS.to_owned(),
            ..Self::named("flowmeter-peers")
        }
    }

    /// The fuzz targets' package, with nothing in it.
    #[cfg(test)]
    pub(crate) fn fuzz() -> Self {
        Self {
            folder: FUZZ.to_owned(),
            ..Self::named("flowmeter-fuzz")
        }
    }

    fn parse_all(metadata: &Value, root: &Path) -> Result<Vec<Self>> {
        list(metadata, "packages")
            .iter()
            .map(|package| Self::parse(package, root))
            .collect()
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
