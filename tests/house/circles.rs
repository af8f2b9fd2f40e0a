//! No circles: where one file uses another, the other does not use it back, however long the way.
//!
//! A file uses another where a path that starts with `crate`, `super`, `self` or one of its own
//! child modules leads there. What a module only passes on by `pub use` is used by whoever takes it
//! there, not by the module. A child may know the error type of its parent, and nothing else of it.
//! A module that is written inside of a file counts as the file, and its `super` as the file's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Source, assert_none, sources};

/// How often a name may be passed on between its file and whoever uses it.
const PASSES_MAX: usize = 8;

#[test]
fn no_two_files_use_each_other() {
    let circles = House::of(&sources("src")).circles();
    let findings: Vec<String> = circles.iter().map(|circle| circle.join(", ")).collect();
    assert_none("files use each other in a circle", &findings);
}

#[test]
fn circles_are_found_through_every_kind_of_path() {
    let circles = |files: &[(&str, &str)]| {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        House::of(&files.iter().map(source).collect::<Vec<_>>()).circles()
    };
    let lib = ("src/lib.rs", "pub mod a;\npub mod b;\n");
    let (a, b) = ("src/a.rs", "src/b.rs");
    for (from_a, from_b) in [
        ("use crate::b::B;", "use super::a::A;"),
        ("use crate::{\n    b::{B, C},\n};", "fn f() -> crate::a::A {}"),
        ("use super::b as other;", "type T = Vec<super::a::A>;"),
    ] {
        assert_eq!(circles(&[lib, (a, from_a), (b, from_b)]), [vec![a, b]], "{from_a} {from_b}");
    }
    for one_way in
        ["use std::a::A;", "// use crate::a::A;", "#[cfg(test)]\nmod tests {\n    use crate::a::A;"]
    {
        assert!(circles(&[lib, (a, "use crate::b::B;"), (b, one_way)]).is_empty(), "{one_way}");
    }
    let parent = "mod child;\npub use child::Thing;\nuse child::Other;\npub struct Own;\n";
    let (m, child) = ("src/a/mod.rs", "src/a/child.rs");
    assert_eq!(circles(&[(m, parent), (child, "use super::Own;")]), [vec![child, m]]);
    assert!(circles(&[(m, parent), (child, "use super::Error;")]).is_empty(), "its error type");
    let passing = "mod child;\nmod twin;\npub use child::Thing;\n";
    let through = circles(&[(m, passing), (child, ""), ("src/a/twin.rs", "use super::Thing;")]);
    assert!(through.is_empty(), "what is passed on belongs to the file it comes from");
    assert_eq!(
        circles(&[
            (m, passing),
            (child, "use super::twin::Twin;"),
            ("src/a/twin.rs", "use super::Thing;")
        ]),
        [vec![child, "src/a/twin.rs"]]
    );
}

/// A path of modules and names, without `crate`.
type Path = Vec<String>;

/// A file with what it uses.
struct File {
    path: String,
    /// The child modules it names.
    children: Vec<String>,
    /// What its `use` lines bring in.
    imports: Vec<Import>,
    /// The paths in its other lines.
    mentions: Vec<Path>,
}

/// One name that a `use` line brings in.
struct Import {
    name: String,
    path: Path,
    /// Whether the file does nothing with it but hand it on.
    is_passed_on: bool,
}

/// All files by the path of their module.
struct House(BTreeMap<Path, File>);

impl House {
    fn of(sources: &[Source]) -> Self {
        // The program's own file is another crate's root.
        let production =
            sources.iter().filter(|source| !source.is_test() && source.path != "src/main.rs");
        Self(production.map(|source| (module_of(&source.path), File::read(source))).collect())
    }

    /// Every group of files that use each other, each in the order of their paths.
    fn circles(&self) -> Vec<Vec<String>> {
        let uses: BTreeMap<&Path, BTreeSet<&Path>> =
            self.0.iter().map(|(module, file)| (module, self.used(module, file))).collect();
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            uses.keys().map(|module| (*module, reach(&uses, module))).collect();
        let mut circles = BTreeSet::new();
        for (module, far) in &reached {
            let back = far.iter().filter(|other| reached[*other].contains(module));
            let mut circle: Vec<String> = back.map(|other| self.0[*other].path.clone()).collect();
            circle.sort();
            if !circle.is_empty() {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// The modules that a file uses.
    fn used(&self, module: &Path, file: &File) -> BTreeSet<&Path> {
        let imports = file.imports.iter().filter(|import| !import.is_passed_on);
        let paths = imports.map(|import| &import.path).chain(&file.mentions);
        let found = paths.filter_map(|path| {
            let (used, name) = self.resolve(absolute(module, file, path)?, PASSES_MAX)?;
            let is_parent = module.len() > used.len() && module.starts_with(used);
            let is_its_error = is_parent && name.is_some_and(|name| name.ends_with("Error"));
            (used != module && !is_its_error).then_some(used)
        });
        found.collect()
    }

    /// The module that a path leads to, and the name there, through what is passed on.
    fn resolve(&self, path: Path, passes: usize) -> Option<(&Path, Option<String>)> {
        let length = (0..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length]))?;
        let (module, file) = self.0.get_key_value(&path[..length])?;
        let Some(name) = path.get(length) else { return Some((module, None)) };
        match file.imports.iter().find(|import| import.name == *name) {
            Some(import) => {
                let mut onward = absolute(module, file, &import.path)?;
                onward.extend_from_slice(&path[length + 1..]);
                self.resolve(onward, passes.checked_sub(1)?)
            }
            None => Some((module, Some(name.clone()))),
        }
    }
}

impl File {
    fn read(source: &Source) -> Self {
        let (mut uses, mut rest) = (Vec::new(), String::new());
        let mut open: Option<String> = None;
        for line in source.code() {
            let line = plain(line);
            let statement = open.take().or_else(|| is_use(&line).then(String::new));
            let Some(mut statement) = statement else {
                rest.push_str(&line);
                rest.push('\n');
                continue;
            };
            statement.push_str(&line);
            match statement.strip_suffix(';') {
                Some(whole) => uses.push(whole.to_owned()),
                None => open = Some(statement),
            }
        }
        let children: Vec<String> = rest.lines().filter_map(child_of).collect();
        let words: BTreeSet<&str> = rest.split(|c: char| !is_word(c)).collect();
        let mut imports = Vec::new();
        for statement in &uses {
            let (before, tree) = statement.split_once("use ").unwrap_or_default();
            for (path, name) in branches(tree) {
                let is_passed_on = !before.is_empty() && !words.contains(name.as_str());
                imports.push(Import { name, path, is_passed_on });
            }
        }
        let paths = rest.split(|c: char| !is_word(c) && c != ':' && c != '$');
        let mentions = paths.filter(|path| path.contains("::")).map(segments).collect();
        Self { path: source.path.clone(), children, imports, mentions }
    }
}

/// A line without its comment and without who may see it, which names modules but uses none.
fn plain(line: &str) -> String {
    let line = line.split(" // ").next().unwrap_or_default().trim();
    match line.strip_prefix("pub(in ").and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => format!("pub{rest}"),
        None => line.to_owned(),
    }
}

/// The module of a source file.
fn module_of(path: &str) -> Path {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Path::new() } else { segments_at(path, "/") }
}

/// The path from the crate's root, if it leads into the crate.
fn absolute(module: &Path, file: &File, path: &[String]) -> Option<Path> {
    let mut base = module.clone();
    let rest = match path.first()?.as_str() {
        "crate" => {
            base.clear();
            &path[1..]
        }
        "self" => &path[1..],
        "super" => {
            let up = path.iter().take_while(|segment| *segment == "super").count();
            base.truncate(module.len().checked_sub(up)?);
            &path[up..]
        }
        first if file.children.iter().any(|child| child == first) => path,
        _ => return None,
    };
    base.extend_from_slice(rest);
    Some(base)
}

/// Everything that can be reached from a module, itself only by a way that leads back.
fn reach<'a>(uses: &BTreeMap<&'a Path, BTreeSet<&'a Path>>, from: &'a Path) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::new();
    let mut next = VecDeque::from([from]);
    while let Some(module) = next.pop_front() {
        let new = uses[module].iter().copied().filter(|used| found.insert(*used));
        next.extend(new.collect::<Vec<_>>());
    }
    found
}

/// The paths of a `use` tree with the names that they bring in.
fn branches(tree: &str) -> Vec<(Path, String)> {
    let tree = tree.trim();
    if let Some((start, group)) = tree.split_once('{') {
        let group = group.strip_suffix('}').unwrap_or(group);
        let below = parts(group).into_iter().flat_map(branches);
        let start = segments(start);
        return below
            .map(|(path, name)| {
                let path: Path = start.iter().cloned().chain(path).collect();
                match name.as_str() {
                    // `{self}` brings in the module itself.
                    "self" => (start.clone(), start.last().cloned().unwrap_or_default()),
                    _ => (path, name),
                }
            })
            .collect();
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = segments(path);
    let name = if name.is_empty() { path.last().cloned() } else { Some(name.to_owned()) };
    name.map(|name| (path, name)).into_iter().collect()
}

/// The parts of a group between its own commas.
fn parts(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn segments(path: &str) -> Path {
    segments_at(path, "::")
}

fn segments_at(path: &str, separator: &str) -> Path {
    let segments = path.split(separator).map(str::trim);
    segments.filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

/// Whether a line begins a `use`, passed on or not.
fn is_use(line: &str) -> bool {
    let rest = line.strip_prefix("pub").map_or(line, |rest| {
        let rest = rest.trim_start();
        rest.strip_prefix('(').and_then(|rest| Some(rest.split_once(')')?.1)).unwrap_or(rest)
    });
    rest.trim_start().starts_with("use ")
}

/// The child module that a line names.
fn child_of(line: &str) -> Option<String> {
    let (before, name) = line.strip_suffix(';')?.split_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then(|| name.to_owned())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
