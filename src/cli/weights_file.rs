//! The name of a weights file as arguments give it, with what its user knows of it: `FILE,key=NAME,config=FILE,charset=62`,
//! `FILE,arch=NAME,prior=FILE`.

use super::Global;
use super::weights::{WeightsArgs, characters, read, say};
use crate::data::checkpoint::StateDict;
use crate::engine::{Engine, Given, ModelKind, Source, SuperResolver, settle};
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A weights file, and what is said of it.
#[derive(Debug, Clone, Default)]
pub struct WeightsFile {
    /// The file.
    pub path: PathBuf,
    said: WeightsArgs,
}

/// What can be said of a file behind its name.
const SAID: [&str; 5] = ["key", "config", "charset", "arch", "prior"];

impl FromStr for WeightsFile {
    type Err = Error;

    /// A file of the whole name goes before what its end would say.
    fn from_str(text: &str) -> Result<Self> {
        let (mut name, mut said) = (text, WeightsArgs::default());
        while let Some((before, last)) = name.rsplit_once(',')
            && !Path::new(name).exists()
            && let Some((what, value)) = last.split_once('=')
        {
            let wrong = |expected: &str, got: String| {
                let e = Error::new(ErrorKind::Argument, text, "what is said of weights");
                Err(e.expected(expected).got(got))
            };
            let twice = match what {
                "key" => said.key.replace(value.into()).is_some(),
                "config" => said.config.replace(value.into()).is_some(),
                "charset" => said.charset.replace(value.into()).is_some(),
                "arch" => said.arch.replace(value.into()).is_some(),
                "prior" => said.prior.replace(value.into()).is_some(),
                other => return wrong(&SAID.join(", "), other.into()),
            };
            if twice || value.is_empty() {
                return wrong("each once, with a value", format!("{what}={value}"));
            }
            name = before;
        }
        match name {
            "" => Err(Error::new(ErrorKind::Argument, text, "a weights file").got("no name")),
            name => Ok(WeightsFile { path: name.into(), said }),
        }
    }
}

impl fmt::Display for WeightsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        let WeightsArgs { key, charset, arch, .. } = &self.said;
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let (config, prior) = (file(&self.said.config), file(&self.said.prior));
        let said = [key, &config, charset, arch, &prior];
        SAID.iter().zip(said).try_for_each(|(what, value)| match value {
            Some(value) => write!(f, ",{what}={value}"),
            None => Ok(()),
        })
    }
}

impl From<&Path> for WeightsFile {
    /// A file of which nothing is said.
    fn from(path: &Path) -> Self {
        WeightsFile { path: path.into(), said: WeightsArgs::default() }
    }
}

impl WeightsFile {
    /// Reads the weights with their whole configuration, as [`WeightsArgs::open`] does.
    ///
    /// # Errors
    /// Those of [`WeightsArgs::open`].
    pub fn open(&self, global: &Global) -> Result<StateDict> {
        self.said.open(global, &self.path)
    }

    /// The weights of a recognizer that reads for an evaluation: an ABINet whose file and user say nothing of its iterations has
    /// one, as in the released evaluation.
    ///
    /// # Errors
    /// Those of [`WeightsArgs::open`].
    pub fn evaluator(&self, global: &Global) -> Result<StateDict> {
        let state = read(global, &self.path, self.said.key.as_deref())?;
        let silent = !state.metadata.contains_key("config") && self.said.config.is_none();
        if ModelKind::of(&state) != Some(ModelKind::Abinet) || !silent {
            return self.open(global);
        }
        let mut state = state;
        let charset = self.said.charset.as_deref().map(characters).transpose()?;
        let config = Some(serde_json::json!({ "iterations": 1 }));
        let notes = settle(&mut state, &Given { config, charset });
        for note in notes.map_err(|e| e.within(self.path.display()))? {
            say(global, &self.path, &note);
        }
        Ok(state)
    }

    /// The network of the weights `state`, which this file holds, with the recognizer that guides it, where one does.
    ///
    /// # Errors
    /// Those of [`SuperResolver::load_guided`].
    pub fn network(&self, engine: &Engine, state: StateDict) -> Result<SuperResolver> {
        let guided = ModelKind::of(&state).is_some_and(ModelKind::is_guided);
        let prior = self.said.prior.clone().or_else(|| beside(&self.path).filter(|_| guided));
        match prior {
            Some(prior) => SuperResolver::load_guided(engine, state, prior),
            None => SuperResolver::load(engine, state),
        }
    }

    /// The same of a file of which options say something too; what stands behind its name goes over them.
    #[must_use]
    pub fn and(&self, options: &WeightsArgs) -> Self {
        let (own, path) = (self.said.clone(), self.path.clone());
        let said = WeightsArgs {
            key: own.key.or_else(|| options.key.clone()),
            config: own.config.or_else(|| options.config.clone()),
            charset: own.charset.or_else(|| options.charset.clone()),
            arch: own.arch.or_else(|| options.arch.clone()),
            prior: own.prior.or_else(|| options.prior.clone()),
        };
        WeightsFile { path, said }
    }
}

impl WeightsArgs {
    /// Whether anything is said.
    pub fn is_something(&self) -> bool {
        let WeightsArgs { key, config, charset, arch, prior } = self;
        let files = [config, prior].iter().any(|file| file.is_some());
        files || [key, charset, arch].iter().any(|word| word.is_some())
    }

    /// The weights that a command is told to use, or those that ship.
    ///
    /// # Errors
    /// As [`WeightsArgs::open`]; [`ErrorKind::Argument`] when something is said of the weights that ship.
    pub fn source(&self, global: &Global, file: Option<&WeightsFile>) -> Result<Source<'static>> {
        if let Some(file) = file {
            return file.and(self).open(global).map(Source::State);
        }
        let said = [
            ("--key", self.key.is_some()),
            ("--config", self.config.is_some()),
            ("--charset", self.charset.is_some()),
            ("--arch", self.arch.is_some()),
            ("--prior", self.prior.is_some()),
        ];
        match said.iter().find(|(_, said)| *said) {
            Some((option, _)) => {
                Err(Error::new(ErrorKind::Argument, option, "weights that it is said of")
                    .expected("--model FILE")
                    .got("those that ship"))
            }
            None => Ok(Source::Shipped),
        }
    }

    /// The network that super-resolves words that a command is told to use, or the one that ships; with the recognizer that
    /// guides it, where one does.
    ///
    /// # Errors
    /// As [`WeightsArgs::source`], and those of [`WeightsFile::network`].
    pub fn network(
        &self,
        global: &Global,
        engine: &Engine,
        file: Option<&WeightsFile>,
    ) -> Result<SuperResolver> {
        match file.map(|file| file.and(self)) {
            Some(file) => file.network(engine, file.open(global)?),
            None => SuperResolver::load(engine, self.source(global, None)?),
        }
    }
}

/// The recognizer that lies beside released weights.
fn beside(weights: &Path) -> Option<PathBuf> {
    let names = ["recognizer_best_acc_0.pth", "recognizer_best_0.pth"];
    names.iter().map(|name| weights.with_file_name(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stands_behind_the_name() {
        let read = |text: &str| text.parse::<WeightsFile>();
        let all = read("a,b.pth,key=x.y,config=c.toml,charset=62").unwrap();
        assert_eq!(all.path, Path::new("a,b.pth"));
        assert_eq!(all.said.key.as_deref(), Some("x.y"));
        assert_eq!(all.said.config.as_deref(), Some(Path::new("c.toml")));
        assert_eq!(all.said.charset.as_deref(), Some("62"));
        assert_eq!(all.to_string(), "a,b.pth,key=x.y,config=c.toml,charset=62");
        let more = "t.pth,arch=tatt-batch,prior=r.pth";
        assert_eq!(read(more).unwrap().to_string(), more);
        assert_eq!(read("a.pth").unwrap().to_string(), "a.pth");
        for (wrong, says) in [
            ("a.pth,cfg=x", "expected key, config, charset, arch, prior, got cfg"),
            ("a.pth,key=", "each once, with a value"),
            ("a.pth,key=a,key=b", "each once"),
            ("", "no name"),
            (",key=a", "no name"),
        ] {
            let e = read(wrong).unwrap_err().to_string();
            assert!(e.contains(says), "{wrong}: {e}");
        }
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("x,key=y");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(read(odd.to_str().unwrap()).unwrap().path, odd);
        assert_eq!(read(&format!("{},key=z", odd.display())).unwrap().path, odd);
    }
}
