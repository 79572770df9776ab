//! Who takes part in an evaluation: networks, folders of images and recognizers, with their names and what they are.

use super::named::{Named, distinct};
use crate::cli::Global;
use crate::cli::weights::WeightsArgs;
use crate::cli::weights_file::WeightsFile;
use crate::data::checkpoint::StateDict;
use crate::engine::{Engine, ModelKind, Recognizer, Source, SuperResolver};
use crate::eval::published::{TABLE_3, same};
use crate::eval::{Judge, Made, Method, Pairs};
use crate::train::Content;
use crate::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A recognizer as arguments name it.
#[derive(Debug, Clone)]
pub enum Reader {
    /// Nobody reads.
    Nobody,
    /// The one that ships.
    Shipped,
    /// That of a file.
    File(WeightsFile),
}

impl FromStr for Reader {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Reader::Nobody),
            "abinet" => Ok(Reader::Shipped),
            file => file.parse().map(Reader::File),
        }
    }
}

/// Those who take part.
pub struct Entrants {
    /// What is evaluated.
    pub methods: Vec<Method>,
    /// Who reads.
    pub judges: Vec<Judge>,
    /// Where each method comes from.
    pub models: Vec<String>,
    /// Where each judge comes from.
    pub readers: Vec<String>,
    /// Names and digests of all of them.
    pub identity: Value,
}

/// What arguments say of it.
pub struct Wanted<'a> {
    /// Weights of networks.
    pub models: &'a [Named<WeightsFile>],
    /// What is said of the weights of the only one.
    pub weights: &'a WeightsArgs,
    /// Images that another program made.
    pub folders: &'a [Named<PathBuf>],
    /// Recognizers.
    pub readers: &'a [Named<Reader>],
}

/// A network or a folder that was found, before it has its name.
pub struct Found<T> {
    what: T,
    /// Of what network its weights are.
    kind: Option<ModelKind>,
    name: String,
    /// What tells it from one of the same name.
    stem: String,
    from: String,
    digest: String,
}

impl Wanted<'_> {
    /// Images of other programs: all there, and of the right size.
    ///
    /// # Errors
    /// As [`Made::open`].
    pub fn folders(&self, sets: &[Pairs]) -> Result<Vec<Made>> {
        self.folders.iter().map(|f| Made::open(&f.what, sets)).collect()
    }

    /// Loads all of them.
    ///
    /// # Errors
    /// Files that cannot be read or are of something else.
    pub fn load(&self, global: &Global, engine: &Engine, made: Vec<Made>) -> Result<Entrants> {
        let mut methods = self.networks(global, engine)?;
        for (folder, made) in self.folders.iter().zip(made) {
            let stem = stem(&folder.what);
            methods.push(Found {
                kind: None,
                name: folder.name.clone().unwrap_or_else(|| stem.clone()),
                stem,
                from: folder.what.display().to_string(),
                digest: digest(&made)?,
                what: Entrant::Images(made),
            });
        }
        Ok(Entrants::of(methods, self.recognizers(global, engine)?))
    }

    fn networks(&self, global: &Global, engine: &Engine) -> Result<Vec<Found<Entrant>>> {
        if self.models.is_empty() && self.folders.is_empty() {
            let lemma = SuperResolver::load(engine, self.weights.source(global, None)?)?;
            return Ok(vec![Found {
                what: Entrant::Network(lemma),
                kind: Some(ModelKind::Lemma),
                name: "LEMMA (shipped)".into(),
                stem: String::new(),
                from: "the shipped LEMMA".into(),
                digest: format!("shipped {}", env!("CARGO_PKG_VERSION")),
            }]);
        }
        if self.models.len() != 1 && self.weights.is_something() {
            return Err(Error::new(
                ErrorKind::Argument,
                "--key, --config, --charset, --arch, --prior",
                "one --model",
            )
            .got(self.models.len())
            .hint("among several, say it behind the name: FILE,key=NAME"));
        }
        self.models.iter().map(|named| network(global, engine, named, self.weights)).collect()
    }

    fn recognizers(&self, global: &Global, engine: &Engine) -> Result<Vec<Found<Recognizer>>> {
        let nobody = |r: &Named<Reader>| matches!(r.what, Reader::Nobody);
        if self.readers.iter().any(nobody) {
            return match self.readers.len() {
                1 => Ok(Vec::new()),
                n => Err(Error::new(ErrorKind::Argument, "--recognizer", "none, or recognizers")
                    .got(format!("none among {n}"))),
            };
        }
        let load = |named: &Named<Reader>| match &named.what {
            Reader::File(file) => recognizer(global, engine, named.name.as_deref(), file),
            _ => {
                let found = shipped(engine)?;
                Ok(Found { name: named.name.clone().unwrap_or(found.name), ..found })
            }
        };
        self.readers.iter().map(load).collect()
    }
}

/// Loads a network from a file.
///
/// # Errors
/// A file that cannot be read or is of something else.
pub fn network(
    global: &Global,
    engine: &Engine,
    named: &Named<WeightsFile>,
    weights: &WeightsArgs,
) -> Result<Found<Entrant>> {
    let file = named.what.and(weights);
    let state = file.open(global)?;
    let found = found(named.name.as_deref(), &state, &file.path);
    let network = file.network(engine, state)?;
    Ok(found.with(Entrant::Network(network)))
}

/// The recognizer that ships.
///
/// # Errors
/// Those of the device.
pub fn shipped(engine: &Engine) -> Result<Found<Recognizer>> {
    Ok(Found {
        what: Recognizer::load(engine, Source::Shipped)?,
        kind: Some(ModelKind::Abinet),
        name: "ABINet (shipped)".into(),
        stem: String::new(),
        from: "the shipped ABINet".into(),
        digest: format!("shipped {}", env!("CARGO_PKG_VERSION")),
    })
}

/// Loads a recognizer from a file.
///
/// # Errors
/// A file that cannot be read or is of something else.
pub fn recognizer(
    global: &Global,
    engine: &Engine,
    name: Option<&str>,
    file: &WeightsFile,
) -> Result<Found<Recognizer>> {
    let state = file.evaluator(global)?;
    let found = found(name, &state, &file.path);
    Ok(found.with(Recognizer::load(engine, Source::State(state))?))
}

impl Entrants {
    /// Gives all of them names that differ.
    pub fn of(methods: Vec<Found<Entrant>>, readers: Vec<Found<Recognizer>>) -> Self {
        let method_names = distinct_names(&methods);
        let judge_names = distinct_names(&readers);
        let own = |(name, digest): (&String, &String)| json!({ "name": name, "digest": digest });
        let digests = methods.iter().map(|m| &m.digest);
        let methods_are: Vec<Value> = method_names.iter().zip(digests).map(own).collect();
        let digests = readers.iter().map(|r| &r.digest);
        let judges_are: Vec<Value> = judge_names.iter().zip(digests).map(own).collect();
        Entrants {
            models: methods.iter().map(|m| m.from.clone()).collect(),
            readers: readers.iter().map(|r| r.from.clone()).collect(),
            identity: json!({ "methods": methods_are, "judges": judges_are }),
            methods: method_names
                .into_iter()
                .zip(methods)
                .map(|(name, found)| match found.what {
                    Entrant::Network(network) => Method::network(name, network),
                    Entrant::Images(made) => Method::images(name, made),
                    Entrant::Bicubic(engine) => Method::bicubic(name, engine),
                })
                .collect(),
            judges: judge_names
                .into_iter()
                .zip(readers)
                .map(|(name, found)| Judge::new(name, found.what))
                .collect(),
        }
    }
}

/// What takes part where no network does: the bicubic enlargement.
pub fn bicubic(engine: &Engine) -> Found<Entrant> {
    Found {
        what: Entrant::Bicubic(engine.clone()),
        kind: None,
        name: "bicubic ×2".into(),
        stem: String::new(),
        from: "no network".into(),
        digest: String::new(),
    }
}

fn distinct_names<T>(all: &[Found<T>]) -> Vec<String> {
    distinct(all.iter().map(|f| (f.name.clone(), f.stem.clone())).collect())
}

/// A way to super-resolve.
pub enum Entrant {
    /// A network.
    Network(SuperResolver),
    /// Images that are there already.
    Images(Made),
    /// Bicubic enlargement.
    Bicubic(Engine),
}

impl<T> Found<T> {
    fn with<U>(self, what: U) -> Found<U> {
        let Found { kind, name, stem, from, digest, .. } = self;
        Found { what, kind, name, stem, from, digest }
    }

    /// Refuses weights of another network than the row of a table that its name is.
    ///
    /// # Errors
    /// [`ErrorKind::Format`].
    pub fn checked(self) -> Result<Self> {
        match self.kind.map(row_of) {
            Some(row) if !same(&row, &self.name) => {
                Err(Error::new(ErrorKind::Format, self.from, "what the weights are of")
                    .expected(self.name)
                    .got(row))
            }
            _ => Ok(self),
        }
    }
}

/// What tables call a network. Names of variants begin as theirs, and go on with what is their own.
fn row_of(kind: ModelKind) -> String {
    match kind {
        ModelKind::TextGestalt => "TG".into(),
        kind => {
            let name = kind.name();
            let row =
                TABLE_3.iter().find(|row| name.strip_prefix(row.0).is_some_and(begins_a_word));
            row.map_or(name, |row| row.0).into()
        }
    }
}

/// What a network is called where nobody says otherwise: variants by their whole name.
fn name_of(kind: ModelKind) -> String {
    match row_of(kind) {
        row if row == "TG" => row,
        _ => kind.name().into(),
    }
}

fn begins_a_word(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(' ')
}

/// What there is to say of the weights of a file.
fn found(name: Option<&str>, state: &StateDict, path: &Path) -> Found<()> {
    let kind = ModelKind::of(state);
    Found {
        what: (),
        kind,
        name: name.map(String::from).or(kind.map(name_of)).unwrap_or_else(|| stem(path)),
        stem: stem(path),
        from: path.display().to_string(),
        digest: Content::of_state(None, state).digest,
    }
}

fn stem(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.into());
    resolved.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A digest of all the images.
fn digest(made: &Made) -> Result<String> {
    let mut digest = Sha256::new();
    for path in made.paths() {
        let bytes =
            std::fs::read(path).map_err(|e| Error::io(path.display(), "cannot be read", e))?;
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    Ok(digest.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect())
}
