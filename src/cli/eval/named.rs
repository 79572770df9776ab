//! Names before files: `NAME:FILE`.

use crate::eval::published::{SUPPLEMENT_1_JUDGES, TABLE_3, TABLE_3_JUDGES, same};
use std::path::Path;
use std::str::FromStr;

/// Something, and what tables shall call it.
#[derive(Debug, Clone)]
pub struct Named<T> {
    /// The name, where one was given.
    pub name: Option<String>,
    /// What is called so.
    pub what: T,
}

impl<T: FromStr> FromStr for Named<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    /// A file of the whole text goes before a name; one letter is a drive.
    fn from_str(text: &str) -> Result<Self, String> {
        let whole = |text: &str| text.parse::<T>().map_err(|e| e.to_string());
        match text.split_once(':') {
            Some((name, rest))
                if name.len() > 1 && !name.contains(['/', '\\']) && !Path::new(text).exists() =>
            {
                Ok(Named { name: Some(as_published(name)), what: whole(rest)? })
            }
            _ => Ok(Named { name: None, what: whole(text)? }),
        }
    }
}

/// The name as publications write it, where they have it.
pub fn as_published(name: &str) -> String {
    let methods = TABLE_3.iter().map(|row| row.0);
    let mut known = TABLE_3_JUDGES.into_iter().chain(SUPPLEMENT_1_JUDGES).chain(methods);
    known.find(|k| same(k, name)).unwrap_or(name).into()
}

/// Names that differ: of those that are the same, each gets what it comes from behind it, and then its place.
pub fn distinct(names: Vec<(String, String)>) -> Vec<String> {
    let count = |name: &str, among: &[String]| among.iter().filter(|n| *n == name).count();
    let plain: Vec<String> = names.iter().map(|n| n.0.clone()).collect();
    let longer: Vec<String> = names
        .iter()
        .map(|(name, from)| match count(name, &plain) {
            1 => name.clone(),
            _ => format!("{name} {from}"),
        })
        .collect();
    let numbered = |(i, name): (usize, &String)| match count(name, &longer) {
        1 => name.clone(),
        _ => format!("{name} {}", i + 1),
    };
    longer.iter().enumerate().map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_name_stands_before_a_colon() {
        let read = |text: &str| text.parse::<Named<PathBuf>>().unwrap();
        let named = read("crnn:weights/a.pth");
        assert_eq!((named.name.as_deref(), named.what), (Some("CRNN"), "weights/a.pth".into()));
        assert_eq!(read("mine:x").name.as_deref(), Some("mine"));
        for plain in ["a.pth", "C:\\a.pth", "dir/a:b.pth"] {
            let named = read(plain);
            assert_eq!((named.name, named.what), (None, PathBuf::from(plain)));
        }
    }

    #[test]
    fn names_are_made_distinct() {
        let names = |all: &[(&str, &str)]| {
            distinct(all.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
        };
        assert_eq!(names(&[("LEMMA", "a"), ("TG", "b")]), ["LEMMA", "TG"]);
        assert_eq!(names(&[("LEMMA", "a"), ("LEMMA", "b")]), ["LEMMA a", "LEMMA b"]);
        assert_eq!(names(&[("x", "a"), ("x", "a")]), ["x a 1", "x a 2"]);
    }
}
